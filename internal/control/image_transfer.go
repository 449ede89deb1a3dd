package control

import (
	"context"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Recipient names the account that an image is offered to, by one of the two.
type Recipient struct{ Email, UUID string }

func (r Recipient) find(tx *store.Tx) (account cloud.Account, err error) {
	name := r.Email
	if r.Email != "" {
		account, err = tx.AccountByEmail(r.Email)
	} else {
		name = r.UUID
		account, err = tx.AccountByUUID(r.UUID)
	}
	if cloud.IsNotFound(err) {
		err = badTransfer("there is no account %s", name)
	}
	return account, err
}

// badTransfer is how the API refuses what is wrong with an account transfer.
func badTransfer(format string, args ...any) error {
	return cloud.Errorf(cloud.CodeBadRequest, format, args...)
}

// OfferImage offers a snapshot to another account, and returns the number of
// the offer, which its recipient needs to accept it.
func (p *Plane) OfferImage(ctx context.Context, who cloud.Actor, id int64, to Recipient) (int64, error) {
	if (to.Email == "") == (to.UUID == "") {
		return 0, badTransfer("either recipient_email or recipient_uuid is required")
	}
	transfer, err := p.store.ID(ctx, store.TransferIDs)
	if err != nil {
		return 0, err
	}
	return transfer, p.store.Write(ctx, func(tx *store.Tx) error {
		image, err := tx.LockImage(who.Account, id)
		if err != nil {
			return err
		}
		if image.Type != cloud.ImageSnapshot || image.Status != cloud.ImageAvailable {
			return badTransfer("only snapshots can be transferred to another account")
		}
		recipient, err := to.find(tx)
		if err != nil {
			return err
		}
		if recipient.ID == who.Account {
			return badTransfer("the image is this account's already")
		}
		added, err := tx.AddImageTransfer(cloud.ImageTransfer{
			ID: transfer, Image: id, Sender: who.Account, Recipient: recipient.ID, CreatedAt: tx.Now,
		})
		if err == nil && !added {
			err = cloud.Conflict("a transfer of this image is pending already; cancel it first")
		}
		return err
	})
}

// AcceptImage makes an image that was offered to the account its own. The
// account says which one it is, as somebody may belong to several.
func (p *Plane) AcceptImage(ctx context.Context, who cloud.Actor, image, transfer int64, recipient string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		t, err := tx.TakeImageTransfer(image, transfer)
		if err == nil && t.Recipient != who.Account {
			err = cloud.NotFound()
		}
		if err != nil {
			return err
		}
		account, err := tx.Account(who.Account)
		if err != nil {
			return err
		}
		if !strings.EqualFold(recipient, account.UUID) {
			return badTransfer("recipient_uuid must be the UUID of this account")
		}
		given, err := tx.LockImage(t.Sender, image)
		if err != nil {
			return err
		}
		holder, err := tx.Holder(given.Ref())
		if err == nil && holder != 0 {
			err = cloud.Pending()
		}
		if err != nil {
			return err
		}
		return tx.GiveImage(given, who.Account)
	})
}

// DeclineImage refuses an image that was offered to the account.
func (p *Plane) DeclineImage(ctx context.Context, who cloud.Actor, image, transfer int64) error {
	return p.endOffer(ctx, image, transfer, func(t cloud.ImageTransfer) bool { return t.Recipient == who.Account })
}

// CancelImageOffer takes back an offer of the account's own image.
func (p *Plane) CancelImageOffer(ctx context.Context, who cloud.Actor, image, transfer int64) error {
	return p.endOffer(ctx, image, transfer, func(t cloud.ImageTransfer) bool { return t.Sender == who.Account })
}

func (p *Plane) endOffer(ctx context.Context, image, transfer int64, may func(cloud.ImageTransfer) bool) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		t, err := tx.TakeImageTransfer(image, transfer)
		if err == nil && !may(t) {
			err = cloud.NotFound()
		}
		return err
	})
}
