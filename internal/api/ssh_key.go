package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var sshKeyRoutes = []route{
	keyListing(get("/v2/account/keys", (*Server).listSSHKeys, "ssh_key:read")),
	post("/v2/account/keys", (*Server).addSSHKey, "ssh_key:create"),
	get("/v2/account/keys/{ssh_key_identifier}", (*Server).getSSHKey, "ssh_key:read"),
	put("/v2/account/keys/{ssh_key_identifier}", (*Server).renameSSHKey, "ssh_key:update"),
	del("/v2/account/keys/{ssh_key_identifier}", (*Server).deleteSSHKey, "ssh_key:delete"),
}

type wireSSHKey struct {
	ID          int64  `json:"id"`
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key"`
	Name        string `json:"name"`
}

type sshKeyBody struct {
	SSHKey wireSSHKey `json:"ssh_key"`
}

func viewSSHKey(k cloud.SSHKey) wireSSHKey {
	return wireSSHKey{k.ID, k.Fingerprint, k.PublicKey, k.Name}
}

func (s *Server) listSSHKeys(c *call) (*reply, error) {
	p := c.paging()
	keys, total, err := s.plane.SSHKeys(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		SSHKeys []wireSSHKey `json:"ssh_keys"`
		Links   wireLinks    `json:"links"`
		Meta    wireMeta     `json:"meta"`
	}{each(keys, viewSSHKey), c.links(p, total), wireMeta{total}}), nil
}

type sshKeyRequest struct {
	Name      string `json:"name"`
	PublicKey string `json:"public_key"`
}

func (s *Server) addSSHKey(c *call) (*reply, error) {
	var in sshKeyRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	key, err := s.plane.AddSSHKey(c.Context(), c.Actor, in.Name, in.PublicKey)
	if err != nil {
		return nil, err
	}
	return created(sshKeyBody{viewSSHKey(key)}), nil
}

func (s *Server) getSSHKey(c *call) (*reply, error) {
	key, err := s.plane.SSHKey(c.Context(), c.Actor, c.param("ssh_key_identifier"))
	if err != nil {
		return nil, err
	}
	return ok(sshKeyBody{viewSSHKey(key)}), nil
}

func (s *Server) renameSSHKey(c *call) (*reply, error) {
	var in sshKeyRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	key, err := s.plane.RenameSSHKey(c.Context(), c.Actor, c.param("ssh_key_identifier"), in.Name)
	if err != nil {
		return nil, err
	}
	return ok(sshKeyBody{viewSSHKey(key)}), nil
}

func (s *Server) deleteSSHKey(c *call) (*reply, error) {
	return noContent(), s.plane.DeleteSSHKey(c.Context(), c.Actor, c.param("ssh_key_identifier"))
}
