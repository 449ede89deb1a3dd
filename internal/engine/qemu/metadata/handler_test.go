package metadata

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// web is a document with something everywhere.
func web() Document {
	d := Document{
		DropletID: 7, Hostname: "web-1", UserData: "#!/bin/sh\necho hi\n", VendorData: "#cloud-config\n{}\n",
		PublicKeys: []string{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"}, Region: "nyc3",
		Tags: []string{"web", "prod:eu"}, Features: Features{DHCPEnabled: true},
	}
	d.SetNetwork(vnet.Machine{
		PublicMAC: "52:54:00:AA:00:01", PrivateMAC: "52:54:00:aa:00:02",
		Network: engine.Network{ReservedIPv4: "127.101.0.9"},
	}, vnet.Guest{
		Public: vnet.Link{
			IPv4: netip.MustParsePrefix("198.18.0.7/16"), IPv4Gateway: netip.MustParseAddr("198.18.0.1"),
			IPv6: netip.MustParsePrefix("2001:db8::7/64"), IPv6Gateway: netip.MustParseAddr("2001:db8::1"),
		},
		Private:     vnet.Link{IPv4: netip.MustParsePrefix("10.108.0.2/20")},
		Nameservers: []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2")},
	})
	d.Interfaces.Public[0].AnchorIPv4 = &IPv4{Address: "10.17.0.5", Netmask: "255.255.0.0", Gateway: "10.17.0.1"}
	return d
}

func get(t *testing.T, d Document, method, path string) *http.Response {
	t.Helper()
	recorder := httptest.NewRecorder()
	Handler(func() (Document, bool) { return d, d.DropletID != 0 }).
		ServeHTTP(recorder, httptest.NewRequest(method, path, http.NoBody))
	return recorder.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	content, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		d                  Document
		status             int
	}{
		{"writing", "PUT", "/metadata/v1/id", web(), http.StatusMethodNotAllowed},
		{"posting", "POST", "/metadata/v1.json", web(), http.StatusMethodNotAllowed},
		{"deleting", "DELETE", "/metadata/v1/", web(), http.StatusMethodNotAllowed},
		{"a machine that is not there", "GET", "/metadata/v1/id", Document{}, http.StatusNotFound},
		{"no JSON of one either", "GET", "/metadata/v1.json", Document{}, http.StatusNotFound},
		{"nothing at the root", "GET", "/", web(), http.StatusNotFound},
		{"another version", "GET", "/metadata/v2/id", web(), http.StatusNotFound},
		{"a version that begins alike", "GET", "/metadata/v10/id", web(), http.StatusNotFound},
		{"an unknown name", "GET", "/metadata/v1/nothing", web(), http.StatusNotFound},
		{"a value is no index", "GET", "/metadata/v1/id/", web(), http.StatusNotFound},
		{"nothing below a value", "GET", "/metadata/v1/id/x", web(), http.StatusNotFound},
		{"a device that is not there", "GET", "/metadata/v1/interfaces/public/1/mac", web(), http.StatusNotFound},
		{"a tag is no place", "GET", "/metadata/v1/tags/web", web(), http.StatusNotFound},
		{"no reserved address", "GET", "/metadata/v1/reserved_ip/ipv6/ip_address", web(), http.StatusNotFound},
		{"doubled slashes", "GET", "/metadata/v1//id", web(), http.StatusNotFound},
		{"another data source", "GET", "/latest/meta-data/", web(), http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(t, c.d, c.method, c.path)
			if r.StatusCode != c.status {
				t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.StatusCode, c.status)
			}
			if c.status == http.StatusMethodNotAllowed && r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q", r.Header.Get("Allow"))
			}
		})
	}
}

// Every path of the tree, in the order in which the indexes list them.
func TestTree(t *testing.T) {
	want := []struct{ path, text string }{
		{"", "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\ndns/\nfloating_ip/\nreserved_ip/\ntags/\nfeatures/"},
		{"id", "7"},
		{"hostname", "web-1"},
		{"user-data", "#!/bin/sh\necho hi\n"},
		{"vendor-data", "#cloud-config\n{}\n"},
		{"public-keys", "ssh-ed25519 AAAA one\nssh-rsa BBBB two"},
		{"region", "nyc3"},
		{"interfaces/", "public/\nprivate/"},
		{"interfaces/public/", "0/"},
		{"interfaces/public/0/", "mac\ntype\nipv4/\nipv6/\nanchor_ipv4/"},
		{"interfaces/public/0/mac", "52:54:00:aa:00:01"},
		{"interfaces/public/0/type", "public"},
		{"interfaces/public/0/ipv4/", "address\nnetmask\ngateway"},
		{"interfaces/public/0/ipv4/address", "198.18.0.7"},
		{"interfaces/public/0/ipv4/netmask", "255.255.0.0"},
		{"interfaces/public/0/ipv4/gateway", "198.18.0.1"},
		{"interfaces/public/0/ipv6/", "address\ncidr\ngateway"},
		{"interfaces/public/0/ipv6/address", "2001:db8::7"},
		{"interfaces/public/0/ipv6/cidr", "64"},
		{"interfaces/public/0/ipv6/gateway", "2001:db8::1"},
		{"interfaces/public/0/anchor_ipv4/", "address\nnetmask\ngateway"},
		{"interfaces/public/0/anchor_ipv4/address", "10.17.0.5"},
		{"interfaces/public/0/anchor_ipv4/netmask", "255.255.0.0"},
		{"interfaces/public/0/anchor_ipv4/gateway", "10.17.0.1"},
		{"interfaces/private/", "0/"},
		{"interfaces/private/0/", "mac\ntype\nipv4/"},
		{"interfaces/private/0/mac", "52:54:00:aa:00:02"},
		{"interfaces/private/0/type", "private"},
		{"interfaces/private/0/ipv4/", "address\nnetmask\ngateway"},
		{"interfaces/private/0/ipv4/address", "10.108.0.2"},
		{"interfaces/private/0/ipv4/netmask", "255.255.240.0"},
		{"interfaces/private/0/ipv4/gateway", ""},
		{"dns/", "nameservers"},
		{"dns/nameservers", "198.18.0.1\n198.18.0.2"},
		{"floating_ip/", "ipv4/"},
		{"floating_ip/ipv4/", "active\nip_address"},
		{"floating_ip/ipv4/active", "true"},
		{"floating_ip/ipv4/ip_address", "127.101.0.9"},
		{"reserved_ip/", "ipv4/\nipv6/"},
		{"reserved_ip/ipv4/", "active\nip_address"},
		{"reserved_ip/ipv4/active", "true"},
		{"reserved_ip/ipv4/ip_address", "127.101.0.9"},
		{"reserved_ip/ipv6/", "active"},
		{"reserved_ip/ipv6/active", "false"},
		{"tags/", "web\nprod:eu"},
		{"features/", "dhcp_enabled"},
		{"features/dhcp_enabled", "true"},
	}
	for _, w := range want {
		path := "/metadata/v1/" + w.path
		r := get(t, web(), "GET", path)
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: status %d, %s", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
		if got := body(t, r); got != w.text {
			t.Errorf("%s:\n%q, want\n%q", path, got, w.text)
		}
		bare, isIndex := strings.CutSuffix(path, "/")
		if !isIndex {
			continue
		}
		if r := get(t, web(), "GET", bare); r.StatusCode != http.StatusMovedPermanently || r.Header.Get("Location") != path {
			t.Errorf("%s: status %d to %q", bare, r.StatusCode, r.Header.Get("Location"))
		}
	}
	var walked []string
	walk(tree(web()), "", &walked)
	if len(walked) != len(want) {
		t.Errorf("the tree has %d places, the test %d: %q", len(walked), len(want), walked)
	}
}

func walk(n node, path string, all *[]string) {
	if n.hidden {
		return
	}
	*all = append(*all, path)
	for _, child := range n.children {
		walk(child, path+"/"+child.name, all)
	}
}

func TestMaintenanceEvent(t *testing.T) {
	d := web()
	for _, event := range []string{"", "live_migrate"} {
		d.MaintenanceEvent = event
		for _, path := range []string{"/v1/maintenance_event", "/metadata/v1/maintenance_event"} {
			if r := get(t, d, "GET", path); r.StatusCode != http.StatusOK || body(t, r) != event {
				t.Errorf("%s: status %d, want %q", path, r.StatusCode, event)
			}
		}
	}
}

func TestHead(t *testing.T) {
	server := httptest.NewServer(Handler(func() (Document, bool) { return web(), true }))
	defer server.Close()
	r, err := http.Head(server.URL + "/metadata/v1/hostname")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || r.ContentLength != 5 {
		t.Errorf("status %d, length %d", r.StatusCode, r.ContentLength)
	}
}

func TestJSON(t *testing.T) {
	r := get(t, web(), "GET", "/metadata/v1.json")
	var got, want any
	if err := json.Unmarshal([]byte(body(t, r)), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"droplet_id": 7, "hostname": "web-1", "user_data": "#!/bin/sh\necho hi\n", "vendor_data": "#cloud-config\n{}\n",
		"public_keys": ["ssh-ed25519 AAAA one", "ssh-rsa BBBB two"], "auth_key": "", "region": "nyc3",
		"interfaces": {
			"public": [{
				"ipv4": {"ip_address": "198.18.0.7", "netmask": "255.255.0.0", "gateway": "198.18.0.1"},
				"ipv6": {"ip_address": "2001:db8::7", "cidr": 64, "gateway": "2001:db8::1"},
				"anchor_ipv4": {"ip_address": "10.17.0.5", "netmask": "255.255.0.0", "gateway": "10.17.0.1"},
				"mac": "52:54:00:aa:00:01", "type": "public"}],
			"private": [{
				"ipv4": {"ip_address": "10.108.0.2", "netmask": "255.255.240.0", "gateway": ""},
				"mac": "52:54:00:aa:00:02", "type": "private"}]},
		"floating_ip": {"ipv4": {"active": true, "ip_address": "127.101.0.9"}},
		"reserved_ip": {"ipv4": {"active": true, "ip_address": "127.101.0.9"}, "ipv6": {"active": false}},
		"dns": {"nameservers": ["198.18.0.1", "198.18.0.2"]},
		"tags": ["web", "prod:eu"], "features": {"dhcp_enabled": true}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// cloudInit is what cloud-init's DigitalOcean data source takes from the
// document, and what it stumbles over: a kind of interface with no device, a
// subnet without its keys, a list that is null.
type cloudInit struct {
	DropletID  *int64                         `json:"droplet_id"`
	Hostname   *string                        `json:"hostname"`
	PublicKeys []string                       `json:"public_keys"`
	VendorData *string                        `json:"vendor_data"`
	UserData   *string                        `json:"user_data"`
	Interfaces map[string][]map[string]any    `json:"interfaces"`
	DNS        struct{ Nameservers []string } `json:"dns"`
}

func TestCloudInitReadsIt(t *testing.T) {
	bare := Document{DropletID: 1, Hostname: "bare"}
	bare.SetNetwork(vnet.Machine{PublicMAC: "52:54:00:00:00:01"}, vnet.Guest{Public: vnet.Link{IPv4: netip.MustParsePrefix("198.18.0.2/16")}})
	for name, d := range map[string]Document{"full": web(), "bare": bare} {
		t.Run(name, func(t *testing.T) {
			var read cloudInit
			if err := json.Unmarshal([]byte(body(t, get(t, d, "GET", "/metadata/v1.json"))), &read); err != nil {
				t.Fatal(err)
			}
			if read.DropletID == nil || read.Hostname == nil || read.VendorData == nil || read.PublicKeys == nil || read.DNS.Nameservers == nil {
				t.Errorf("a key is missing: %+v", read)
			}
			for kind, devices := range read.Interfaces {
				if len(devices) == 0 {
					t.Fatalf("%s has no device", kind)
				}
				checkDevice(t, kind, devices[0])
			}
		})
	}
}

func checkDevice(t *testing.T, kind string, device map[string]any) {
	t.Helper()
	if device["type"] != kind || device["mac"] == "" || device["mac"] != strings.ToLower(device["mac"].(string)) {
		t.Errorf("%s: %v", kind, device)
	}
	for _, family := range []string{"ipv4", "ipv6", "anchor_ipv4", "anchor_ipv6"} {
		subnet, ok := device[family].(map[string]any)
		if !ok {
			continue
		}
		size := "netmask"
		if strings.Contains(subnet["ip_address"].(string), ":") {
			size = "cidr"
		}
		for _, key := range []string{"ip_address", "gateway", size} {
			if _, ok := subnet[key]; !ok {
				t.Errorf("%s %s has no %s", kind, family, key)
			}
		}
	}
}
