package api

import (
	"net/http"
	"slices"
)

// Route is a line of the route table, for the tests that look at all of them.
type Route = route

// Routes is the whole route table.
func Routes() []Route { return routes() }

// IsPaged reports whether a route answers a list in pages.
func IsPaged(r Route) bool {
	d, _ := describe(r)
	return r.Method == http.MethodGet && slices.Contains(d.query, "per_page")
}

// TakesBody reports whether a route reads its request's body.
func TakesBody(r Route) bool {
	d, _ := describe(r)
	return d.takes != nil
}

// RequestBodies has a value of every type that a request body is decoded into,
// by the route that takes it, so that a test can try all of their fields.
var RequestBodies = map[string]any{
	"POST /v2/account/keys":                             sshKeyRequest{},
	"PUT /v2/account/keys/{ssh_key_identifier}":         sshKeyRequest{},
	"POST /v2/droplets":                                 dropletRequest{},
	"POST /v2/droplets/{droplet_id}/actions":            dropletActionRequest{},
	"DELETE " + destroyPath + "/selective":              selectiveRequest{},
	"POST /v2/volumes":                                  volumeRequest{},
	"POST /v2/volumes/{volume_id}/actions":              volumeActionRequest{},
	"POST /v2/volumes/{volume_id}/snapshots":            volumeSnapshotRequest{},
	"POST /v2/reserved_ips":                             reservedIPRequest{},
	"POST /v2/reserved_ips/{reserved_ip}/actions":       reservedIPActionRequest{},
	"POST /v2/floating_ips":                             reservedIPRequest{},
	"POST /v2/floating_ips/{reserved_ip}/actions":       reservedIPActionRequest{},
	"POST /v2/vpcs":                                     vpcRequest{},
	"PUT /v2/vpcs/{vpc_id}":                             vpcChangeRequest{},
	"PATCH /v2/vpcs/{vpc_id}":                           vpcChangeRequest{},
	"POST /v2/firewalls":                                firewallRequest{},
	"PUT /v2/firewalls/{firewall_id}":                   firewallRequest{},
	"POST /v2/firewalls/{firewall_id}/droplets":         firewallDropletsRequest{},
	"DELETE /v2/firewalls/{firewall_id}/droplets":       firewallDropletsRequest{},
	"POST /v2/firewalls/{firewall_id}/tags":             firewallTagsRequest{},
	"DELETE /v2/firewalls/{firewall_id}/tags":           firewallTagsRequest{},
	"POST /v2/firewalls/{firewall_id}/rules":            firewallRulesRequest{},
	"DELETE /v2/firewalls/{firewall_id}/rules":          firewallRulesRequest{},
	"POST /_sim/faults":                                 faultRequest{},
	"POST /v2/reserved_ipv6":                            reservedIPv6Request{},
	"POST /v2/reserved_ipv6/{reserved_ipv6}/actions":    reservedIPActionRequest{},
	"POST /v2/vpc_peerings":                             peeringRequest{},
	"PATCH /v2/vpc_peerings/{vpc_peering_id}":           peeringNameRequest{},
	"POST /v2/vpcs/{vpc_id}/peerings":                   peeringOfVPCRequest{},
	"PATCH /v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}": peeringNameRequest{},
	"POST /v2/droplets/actions":                         dropletActionRequest{},
	"POST /v2/projects/default/resources":               projectResourcesRequest{},
}
