package api

import (
	"net/http"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var imageTransferRoutes = []route{
	post("/v2/images/{image_id}/account_transfer", (*Server).offerImage, "image:update", "image:delete"),
	post("/v2/images/{image_id}/account_transfer/accept", (*Server).acceptImage, "image:create"),
	post("/v2/images/{image_id}/account_transfer/cancel", (*Server).cancelImageOffer, "image:update"),
	post("/v2/images/{image_id}/account_transfer/decline", (*Server).declineImage, "image:create"),
}

type imageTransferRequest struct {
	RecipientEmail string  `json:"recipient_email"`
	RecipientUUID  string  `json:"recipient_uuid"`
	TransferID     integer `json:"transfer_id"`
}

// imageTransfer reads a request about an offer that there is.
func (c *call) imageTransfer() (image int64, in imageTransferRequest, err error) {
	if image, err = c.number("image_id"); err != nil {
		return 0, in, err
	}
	if err := c.decode(&in); err != nil {
		return 0, in, err
	}
	if in.TransferID == 0 {
		err = cloud.Errorf(cloud.CodeBadRequest, "transfer_id is required")
	}
	return image, in, err
}

func (s *Server) offerImage(c *call) (*reply, error) {
	image, err := c.number("image_id")
	if err != nil {
		return nil, err
	}
	var in imageTransferRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	to := control.Recipient{Email: in.RecipientEmail, UUID: in.RecipientUUID}
	transfer, err := s.plane.OfferImage(c.Context(), c.Actor, image, to)
	if err != nil {
		return nil, err
	}
	return created(struct {
		TransferID int64 `json:"transfer_id"`
	}{transfer}), nil
}

func (s *Server) acceptImage(c *call) (*reply, error) {
	image, in, err := c.imageTransfer()
	if err != nil {
		return nil, err
	}
	err = s.plane.AcceptImage(c.Context(), c.Actor, image, int64(in.TransferID), in.RecipientUUID)
	return &reply{status: http.StatusCreated}, err
}

func (s *Server) cancelImageOffer(c *call) (*reply, error) {
	image, in, err := c.imageTransfer()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.CancelImageOffer(c.Context(), c.Actor, image, int64(in.TransferID))
}

func (s *Server) declineImage(c *call) (*reply, error) {
	image, in, err := c.imageTransfer()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeclineImage(c.Context(), c.Actor, image, int64(in.TransferID))
}
