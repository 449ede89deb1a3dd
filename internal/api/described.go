package api

import (
	"net/http"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// description is what the types of a route do not say by themselves: which they
// are. The API's own OpenAPI document is made from it and the route table.
type description struct {
	takes    any    // the type of the request's body; nil for none
	requires string // the fields of it that cannot be left out
	status   int
	gives    any // the type of the answer's body; nil for none
	// query lists the parameters of the query, each with what it may be: "type=droplets|gpus". One
	// that ends in "!" must be given.
	query []string
	// header lists the headers that must be sent.
	header []string
}

// shape is a body that has no type of its own. A key that ends in "?" is not in
// every answer.
type shape map[string]any

func gives(status int, body any) description { return description{status: status, gives: body} }

func (d description) body(in any, requires string) description {
	d.takes, d.requires = in, requires
	return d
}

func (d description) asks(query ...string) description {
	d.query = append(d.query, query...)
	return d
}

// paged is a list in pages, under a key.
func paged(key string, item any) description {
	body := shape{key: listOf{item}, "links": wireLinks{}, "meta": wireMeta{}}
	return gives(http.StatusOK, body).asks("page", "per_page")
}

// listOf is a list of a type.
type listOf struct{ item any }

var (
	nothing = description{status: http.StatusNoContent}
	anIP    = map[bool]string{true: "reserved_ip", false: "floating_ip"}
)

// described describes every route that is built.
func described() map[string]description {
	all := map[string]description{
		"GET /healthz":                                    gives(http.StatusOK, shape{"status": ""}),
		"GET /_sim/faults":                                gives(http.StatusOK, shape{"faults": listOf{wireFault{}}}),
		"POST /_sim/faults":                               gives(http.StatusCreated, shape{"fault": wireFault{}}).body(faultRequest{}, "operation"),
		"GET /_sim/clock":                                 gives(http.StatusOK, clockBody{}),
		"POST /_sim/clock":                                gives(http.StatusOK, clockBody{}).body(clockRequest{}, "advance"),
		"GET " + accessPath + "/access":                   gives(http.StatusOK, accessBody{}).asks("password=true|false"),
		"GET " + accessPath + "/console":                  {status: http.StatusSwitchingProtocols, header: []string{"Connection", "Upgrade"}},
		"GET " + accessPath + "/screenshot":               {status: http.StatusOK},
		"GET /_cistern/operations":                        paged("operations", wireOperation{}),
		"GET /v2/account":                                 gives(http.StatusOK, shape{"account": wireAccount{}}),
		"GET /v2/account/keys":                            paged("ssh_keys", wireSSHKey{}),
		"POST /v2/account/keys":                           gives(http.StatusCreated, sshKeyBody{}).body(sshKeyRequest{}, "name public_key"),
		"GET " + sshKeyPath:                               gives(http.StatusOK, sshKeyBody{}),
		"PUT " + sshKeyPath:                               gives(http.StatusOK, sshKeyBody{}).body(sshKeyRequest{}, ""),
		"GET /v2/actions":                                 paged("actions", wireAction{}),
		"GET /v2/actions/{action_id}":                     gives(http.StatusOK, actionBody{}),
		"GET /v2/regions":                                 paged("regions", wireRegion{}),
		"GET /v2/sizes":                                   paged("sizes", wireSize{}),
		"GET /v2/images":                                  paged("images", wireImage{}).asks("type=application|distribution", "private", "tag_name"),
		"POST /v2/images":                                 gives(http.StatusAccepted, shape{"image": wireNewImage{}}).body(imageRequest{}, "name url region"),
		"PUT " + imagePath:                                gives(http.StatusOK, imageBody{}).body(imageRequest{}, "name"),
		"GET " + imagePath + "/actions":                   paged("actions", wireAction{}),
		"POST " + imagePath + "/actions":                  gives(http.StatusCreated, actionBody{}).body(imageActionRequest{}, "type"),
		"GET " + imagePath + oneAction:                    gives(http.StatusOK, actionBody{}),
		"POST " + imagePath + "/account_transfer":         gives(http.StatusCreated, shape{"transfer_id": int64(0)}).body(imageTransferRequest{}, ""),
		"POST " + imagePath + "/account_transfer/accept":  description{status: http.StatusCreated}.body(imageTransferRequest{}, "transfer_id recipient_uuid"),
		"POST " + imagePath + "/account_transfer/cancel":  nothing.body(imageTransferRequest{}, "transfer_id"),
		"POST " + imagePath + "/account_transfer/decline": nothing.body(imageTransferRequest{}, "transfer_id"),
		"GET " + imagePath:                                gives(http.StatusOK, imageBody{}),
		"GET /v2/snapshots":                               paged("snapshots", wireSnapshot{}).asks("resource_type=droplet|volume", "region"),
		"GET /v2/snapshots/{snapshot_id}":                 gives(http.StatusOK, snapshotBody{}),
		"GET /v2/tags":                                    paged("tags", wireTag{}),
		"POST /v2/tags":                                   gives(http.StatusCreated, tagBody{}).body(tagRequest{}, "name"),
		"GET /v2/tags/{tag_id}":                           gives(http.StatusOK, tagBody{}),
		"PUT /v2/tags/{tag_id}":                           gives(http.StatusOK, tagBody{}).body(tagRequest{}, "name"),
		"POST /v2/tags/{tag_id}/resources":                nothing.body(tagResourcesRequest{}, "resources"),
		"DELETE /v2/tags/{tag_id}/resources":              nothing.body(tagResourcesRequest{}, "resources"),
		"GET /v2/vpcs":                                    paged("vpcs", wireVPC{}),
		"POST /v2/vpcs":                                   gives(http.StatusCreated, vpcBody{}).body(vpcRequest{}, "name region"),
		"GET /v2/vpcs/{vpc_id}":                           gives(http.StatusOK, vpcBody{}),
		"PUT /v2/vpcs/{vpc_id}":                           gives(http.StatusOK, vpcBody{}).body(vpcChangeRequest{}, "name"),
		"PATCH /v2/vpcs/{vpc_id}":                         gives(http.StatusOK, vpcBody{}).body(vpcChangeRequest{}, ""),
		"GET /v2/vpcs/{vpc_id}/members":                   paged("members", wireVPCMember{}).asks("resource_type"),
		"GET /v2/reserved_ipv6": paged("reserved_ipv6s", shape{
			"ip": "", "region_slug": "", "reserved_at": "", "droplet?": &wireDroplet{},
		}),
		"POST /v2/reserved_ipv6":                            gives(http.StatusCreated, shape{"reserved_ipv6": wireReservedIPv6{}}).body(reservedIPv6Request{}, "region_slug"),
		"GET /v2/reserved_ipv6/{reserved_ipv6}":             gives(http.StatusOK, shape{"reserved_ipv6": wireAssignedIPv6{}}),
		"POST /v2/reserved_ipv6/{reserved_ipv6}/actions":    gives(http.StatusCreated, actionBody{}).body(reservedIPActionRequest{}, "type"),
		"GET /v2/vpcs/{vpc_id}/peerings":                    gives(http.StatusOK, peeringListBody{}).asks("page", "per_page"),
		"POST /v2/vpcs/{vpc_id}/peerings":                   gives(http.StatusAccepted, peeringBody{}).body(peeringOfVPCRequest{}, "name vpc_id"),
		"PATCH /v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}": gives(http.StatusOK, peeringBody{}).body(peeringNameRequest{}, "name"),
		"GET /v2/vpc_peerings":                              gives(http.StatusOK, peeringListBody{}).asks("page", "per_page"),
		"POST /v2/vpc_peerings":                             gives(http.StatusAccepted, peeringBody{}).body(peeringRequest{}, "name vpc_ids"),
		"GET /v2/vpc_peerings/{vpc_peering_id}":             gives(http.StatusOK, peeringBody{}),
		"PATCH /v2/vpc_peerings/{vpc_peering_id}":           gives(http.StatusOK, peeringBody{}).body(peeringNameRequest{}, "name"),
		"DELETE /v2/vpc_peerings/{vpc_peering_id}":          gives(http.StatusAccepted, peeringBody{}),
		"GET /v2/firewalls":                                 paged("firewalls", wireFirewall{}),
		"POST /v2/firewalls":                                gives(http.StatusAccepted, firewallBody{}).body(firewallRequest{}, "name"),
		"GET /v2/firewalls/{firewall_id}":                   gives(http.StatusOK, firewallBody{}),
		"PUT /v2/firewalls/{firewall_id}":                   gives(http.StatusOK, firewallBody{}).body(firewallRequest{}, "name"),
		"GET /v2/droplets/backups/policies":                 gives(http.StatusOK, policiesShape).asks("page", "per_page"),
		"GET " + dropletPath + "/firewalls":                 paged("firewalls", wireFirewall{}),
		"GET " + dropletPath + "/backups":                   paged("backups", wireDropletImage{}),
		"GET " + dropletPath + "/snapshots":                 paged("snapshots", wireDropletImage{}),
		"GET " + dropletPath + "/neighbors":                 gives(http.StatusOK, shape{"droplets": listOf{wireDroplet{}}}),
		"GET " + dropletPath + "/actions":                   paged("actions", wireAction{}),
		"POST " + dropletPath + "/actions":                  gives(http.StatusCreated, actionBody{}).body(dropletActionRequest{}, "type"),
		"GET " + dropletPath + oneAction:                    gives(http.StatusOK, actionBody{}),
		"GET " + dropletPath:                                gives(http.StatusOK, shape{"droplet": wireDroplet{}}),
		"GET " + destroyPath:                                gives(http.StatusOK, wireLists[wireAssociated]{}),
		"GET " + destroyPath + "/status":                    gives(http.StatusOK, wireDestroy{}),
		"POST " + destroyPath + "/retry":                    {status: http.StatusAccepted},
		"GET /v2/volumes":                                   paged("volumes", wireVolume{}).asks("name", "region"),
		"POST /v2/volumes":                                  gives(http.StatusCreated, volumeBody{}).body(volumeRequest{}, "name size_gigabytes region"),
		"GET /v2/volumes/{volume_id}":                       gives(http.StatusOK, volumeBody{}),
		"GET /v2/volumes/{volume_id}/actions":               paged("actions", wireAction{}),
		"DELETE /v2/volumes":                                nothing.asks("name", "region"),
		"POST /v2/volumes/actions": gives(http.StatusAccepted, actionBody{}).
			body(volumeActionRequest{}, "type volume_name region droplet_id").asks("page", "per_page"),
		"GET /v2/projects":                        paged("projects", wireProject{}),
		"GET /v2/projects/{project_id}":           gives(http.StatusOK, projectBody{}),
		"GET /v2/projects/{project_id}/resources": paged("resources", wireProjectResource{}),
		"POST /v2/projects/{project_id}/resources": gives(http.StatusOK, projectResourcesBody{}).
			body(projectResourcesRequest{}, "resources"),
		"GET /v2/projects/default":            gives(http.StatusOK, projectBody{}),
		"GET /v2/projects/default/resources":  paged("resources", wireProjectResource{}),
		"POST /v2/projects/default/resources": gives(http.StatusOK, projectResourcesBody{}).body(projectResourcesRequest{}, "resources"),
		"GET /v2/1-clicks":                    gives(http.StatusOK, shape{"1_clicks?": listOf{wireOneClick{}}}).asks("type=droplet|kubernetes"),
		"POST /v2/volumes/{volume_id}/actions": gives(http.StatusAccepted, actionBody{}).
			body(volumeActionRequest{}, "type"),
		"GET /v2/volumes/{volume_id}" + oneAction:     gives(http.StatusOK, actionBody{}),
		"GET /v2/volumes/{volume_id}/snapshots":       paged("snapshots", wireSnapshot{}),
		"GET /v2/volumes/snapshots/{snapshot_id}":     gives(http.StatusOK, snapshotBody{}),
		"POST /v2/volumes/{volume_id}/snapshots":      gives(http.StatusCreated, snapshotBody{}).body(volumeSnapshotRequest{}, "name"),
		"GET /v2/droplets":                            paged("droplets", wireDroplet{}).asks("tag_name", "name", "type=droplets|gpus"),
		"POST /v2/droplets/actions":                   gives(http.StatusCreated, shape{"actions": listOf{wireAction{}}}).body(dropletActionRequest{}, "type").asks("tag_name"),
		"GET " + dropletPath + "/kernels":             paged("kernels", shape{"id?": int64(0), "name?": "", "version?": ""}),
		"GET /v2/reports/droplet_neighbors_ids":       gives(http.StatusOK, shape{"neighbor_ids": listOf{listOf{int64(0)}}}),
		"GET /v2/reports/droplet_neighbors":           paged("neighbors", listOf{wireDroplet{}}),
		"DELETE /v2/droplets":                         nothing.asks("tag_name!"),
		"POST /v2/droplets":                           gives(http.StatusAccepted, createdShape).body(dropletRequest{}, "size image"),
		"GET " + dropletPath + "/backups/policy":      gives(http.StatusOK, shape{"policy": wirePolicyRecord{}}),
		"GET /v2/droplets/backups/supported_policies": gives(http.StatusOK, shape{"supported_policies": listOf{wireSupportedBackup{}}}),
		"DELETE " + destroyPath + "/selective":        {status: http.StatusAccepted, takes: selectiveRequest{}},
		"DELETE " + destroyPath + "/dangerous":        {status: http.StatusAccepted, header: []string{"X-Dangerous"}},
	}
	for _, method := range []string{"POST ", "DELETE "} {
		all[method+"/v2/firewalls/{firewall_id}/droplets"] = nothing.body(firewallDropletsRequest{}, "droplet_ids")
		all[method+"/v2/firewalls/{firewall_id}/tags"] = nothing.body(firewallTagsRequest{}, "tags")
		all[method+"/v2/firewalls/{firewall_id}/rules"] = nothing.body(firewallRulesRequest{}, "")
	}
	for _, key := range anIP {
		path := "/v2/" + key + "s"
		all["GET "+path] = paged(key+"s", wireReservedIP{})
		all["POST "+path] = gives(http.StatusAccepted, shape{key: wireReservedIP{}, "links": wireOneLinks{}}).body(reservedIPRequest{}, "")
		all["GET "+path+"/{reserved_ip}"] = gives(http.StatusOK, shape{key: wireReservedIP{}})
		all["GET "+path+"/{reserved_ip}/actions"] = paged("actions", wireAction{})
		all["POST "+path+"/{reserved_ip}/actions"] = gives(http.StatusCreated, actionBody{}).body(reservedIPActionRequest{}, "type")
		all["GET "+path+"/{reserved_ip}"+oneAction] = gives(http.StatusOK, actionBody{})
	}
	return all
}

const (
	oneAction   = "/actions/{action_id}"
	imagePath   = "/v2/images/{image_id}"
	dropletPath = "/v2/droplets/{droplet_id}"
	sshKeyPath  = "/v2/account/keys/{ssh_key_identifier}"
)

var (
	policiesShape = shape{"policies": mapOf{wirePolicyRecord{}}, "links": wireLinks{}, "meta": wireMeta{}}
	// A create answers with what it was asked for: one Droplet, or several.
	createdShape = shape{"droplet?": wireDroplet{}, "droplets?": listOf{wireDroplet{}}, "links": wireOneLinks{}}
)

// mapOf is a map of a type by IDs.
type mapOf struct{ item any }

// describe describes a route. A delete without a description answers nothing.
func describe(rt route) (description, bool) {
	d, ok := described()[rt.Method+" "+rt.Pattern]
	if !ok && rt.Method == http.MethodDelete {
		return nothing, true
	}
	return d, ok
}

// texts are words of the cloud as they are written.
func texts[T ~string](words ...T) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// words are the fields that are one of some words, by type and field.
var words = map[string][]string{
	"Action.status":                texts(cloud.InProgress, cloud.Completed, cloud.Errored),
	"Account.status":               {"active", "warning", "locked"},
	"Droplet.status":               append(texts(cloud.DropletNew, cloud.DropletActive, cloud.DropletOff), "archive"),
	"DropletImage.type":            {"snapshot", "backup"},
	"NewImage.status":              {"NEW", "available", "pending", "deleted", "retired"},
	"NewImage.type":                {"base", "snapshot", "backup", "custom", "admin"},
	"ImageActionRequest.type":      {"convert", "transfer"},
	"Image.status":                 {"NEW", "available", "pending", "deleted", "retired"},
	"Image.type":                   {"base", "snapshot", "backup", "custom", "admin"},
	"Network.type":                 {"public", "private"},
	"DiskInfo.type":                {"local", "boot", "scratch"},
	"Snapshot.resource_type":       {"droplet", "volume"},
	"Firewall.status":              {"waiting", "succeeded", "failed"},
	"FirewallChange.status":        {"waiting", "succeeded", "failed"},
	"Project.environment":          {"Development", "Staging", "Production"},
	"ProjectResource.status":       {"ok", "not_found", "assigned", "already_assigned", "service_down"},
	"Peering.status":               {"PROVISIONING", "ACTIVE", "DELETING"},
	"InboundRule.protocol":         {"tcp", "udp", "icmp"},
	"OutboundRule.protocol":        {"tcp", "udp", "icmp"},
	"TaggedResource.resource_type": {"droplet", "image", "volume", "volume_snapshot"},
	"FirewallRuleInput.protocol":   {"tcp", "udp", "icmp"},
	"ReservedIPActionRequest.type": {"assign", "unassign"},
	"VolumeActionRequest.type":     {"attach", "detach", "resize"},
	"Policy.plan":                  {"daily", "weekly"},
	"Policy.weekday":               strings.Fields("SUN MON TUE WED THU FRI SAT"),
	"BackupPolicy.plan":            {"daily", "weekly"},
	"BackupPolicy.weekday":         strings.Fields("SUN MON TUE WED THU FRI SAT"),
	"DropletActionRequest.type": strings.Fields("enable_backups disable_backups change_backup_policy reboot power_cycle shutdown " +
		"power_off power_on restore password_reset resize rebuild rename change_kernel enable_ipv6 enable_private_networking snapshot"),
}
