package cloud

import (
	"regexp"
	"time"
)

// Project is where an account's resources are grouped. Each account has one,
// its default, and all that it has is in there.
type Project struct {
	ID          string // UUID
	Name        string
	Description string
	Purpose     string
	Environment string
	Owner       Account
}

// DefaultProject is the word that stands for the ID of an account's project.
const DefaultProject = "default"

// Project is the account's project. It is described as the API's reference
// describes a default one.
func (a Account) Project() Project {
	return Project{
		ID: a.ProjectID, Name: "Default", Description: "Default project",
		Purpose: "Just trying out DigitalOcean", Environment: "Development", Owner: a,
	}
}

// ProjectResource is something that is in a project.
type ProjectResource struct {
	Ref
	AssignedAt time.Time
}

// ProjectKind is a kind of resources that projects have, and the scope that
// shows them.
type ProjectKind struct {
	Kind  Kind
	Scope Scope
}

// ProjectKinds are the kinds of resources that projects have, in the order that
// they are listed in.
var ProjectKinds = []ProjectKind{
	{KindDroplet, "droplet:read"}, {KindVolume, "block_storage:read"},
	{KindReservedIP, "reserved_ip:read"}, {KindReservedIPv6, "reserved_ip:read"},
}

// urnTypes are the kinds that uniform resource names call otherwise, as godo and
// Terraform do, and olderURNTypes what the API's reference has for them still.
var (
	urnTypes      = map[Kind]string{KindReservedIP: "reservedip", KindReservedIPv6: "reservedipv6"}
	olderURNTypes = map[string]Kind{"floatingip": KindReservedIP, "floatingipv6": KindReservedIPv6}
)

// URN is the resource's name among resources of all kinds.
func (r Ref) URN() string {
	name, ok := urnTypes[r.Kind]
	if !ok {
		name = string(r.Kind)
	}
	return "do:" + name + ":" + r.ID
}

var urnPattern = regexp.MustCompile(`^do:([^:]+):(.+)$`)

// ParseURN reads a resource's name. Its kind need not be one that there is. The
// message is the live API's.
func ParseURN(urn string) (Ref, error) {
	parts := urnPattern.FindStringSubmatch(urn)
	if parts == nil {
		return Ref{}, Errorf(CodeBadRequest, "resource objects must have an urn in the following format: do:resource_type:resource_id")
	}
	r := Ref{urnKind(parts[1]), parts[2]}
	switch r.Kind {
	case KindVolume:
		r.ID = LowerUUID(r.ID)
	case KindReservedIPv6:
		if ip, ok := CanonicalIPv6(r.ID); ok {
			r.ID = ip
		}
	}
	return r, nil
}

func urnKind(name string) Kind {
	for kind, known := range urnTypes {
		if name == known {
			return kind
		}
	}
	if kind, ok := olderURNTypes[name]; ok {
		return kind
	}
	return Kind(name)
}
