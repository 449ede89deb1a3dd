package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// auditor asks a server, when it is at rest, whether all that was promised is
// true. Everything it finds wrong is a finding.
type auditor struct {
	*ledger
	url, token string
	findings   []string
	// gone has the IDs of what destroys have destroyed, by their own account.
	gone map[string]bool
}

func (a *auditor) find(format string, args ...any) {
	a.findings = append(a.findings, fmt.Sprintf(format, args...))
}

// audit checks everything and returns what is wrong.
func (l *ledger) audit(url, token string) []string {
	a := &auditor{ledger: l, url: url, token: token, gone: map[string]bool{}}
	a.checkDestroys()
	a.checkActions()
	found := map[kind]map[string]item{
		droplets:  a.list(droplets, "/v2/droplets", "droplets"),
		volumes:   a.list(volumes, "/v2/volumes", "volumes"),
		snapshots: a.list(snapshots, "/v2/snapshots?resource_type=volume", "snapshots"),
		addresses: a.list(addresses, "/v2/reserved_ips", "reserved_ips"),
	}
	a.list("", "/v2/images?private=true", "images")
	a.list("", "/v2/account/keys", "ssh_keys")
	for _, t := range a.things {
		a.checkThing(t, found[t.kind])
	}
	a.checkStrangers(found)
	a.checkAttachments(found[droplets], found[volumes])
	return append(a.findings, a.complaints...)
}

// item is what lists show of anything.
type item struct {
	ID         json.Number     `json:"-"`
	RawID      json.RawMessage `json:"id"`
	IP         string          `json:"ip"`
	Name       string          `json:"name"`
	Status     string          `json:"status"`
	Locked     bool            `json:"locked"`
	VolumeIDs  []string        `json:"volume_ids"`
	DropletIDs []json.Number   `json:"droplet_ids"`
	Droplet    *struct {
		ID json.Number `json:"id"`
	} `json:"droplet"`
}

func (i item) id() string {
	if i.IP != "" {
		return i.IP
	}
	return strings.Trim(string(i.RawID), `"`)
}

func (a *auditor) get(path string) answer {
	res := request(http.MethodGet, a.url+path, a.token, "", nil)
	if res.err != nil {
		a.find("GET %s: %v", path, res.err)
	}
	return res
}

// list reads all pages of a list.
func (a *auditor) list(k kind, path, key string) map[string]item {
	all := map[string]item{}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	for page := 1; ; page++ {
		res := a.get(path + separator + "per_page=200&page=" + strconv.Itoa(page))
		if !res.ok() {
			a.find("GET %s: %s", path, res.text())
			return all
		}
		var body map[string]json.RawMessage
		var items []item
		if err := json.Unmarshal(res.body, &body); err != nil {
			a.find("GET %s: %v", path, err)
			return all
		}
		if err := json.Unmarshal(body[key], &items); err != nil {
			a.find("GET %s: %v", path, err)
			return all
		}
		for _, i := range items {
			if _, twice := all[i.id()]; twice {
				a.find("%s %s is listed twice", k, i.id())
			}
			all[i.id()] = i
		}
		if total, _ := res.field("meta.total"); len(items) == 0 || strconv.Itoa(len(all)) == total {
			return all
		}
	}
}

// checkThing checks one thing that was asked for.
func (a *auditor) checkThing(t *thing, listed map[string]item) {
	i, there := listed[t.id]
	if t.kind != addresses && t.id == "" {
		for _, other := range listed {
			if other.Name == t.name {
				i, there = other, true
			}
		}
	}
	switch {
	case t.created == refused && there:
		a.find("%s %s was refused and is there", t.kind, t.name)
	case t.created == acknowledged && !there && t.endings == 0 && !a.gone[t.id]:
		a.find("%s %s (%s) was acknowledged and is lost", t.kind, t.name, t.id)
	case !there:
		if t.endings == 0 {
			t.endings = 1 // it never was, or is gone: leave it be
		}
		return
	}
	t.id = i.id() // a create that was never answered has come true
	if i.Locked || i.Status == "new" {
		a.find("%s %s (%s) is stuck: status %q, locked %v", t.kind, t.name, t.id, i.Status, i.Locked)
	}
}

// checkStrangers looks for what nobody has asked for.
func (a *auditor) checkStrangers(found map[kind]map[string]item) {
	for k, listed := range found {
		for id, i := range listed {
			if k == addresses { // which have no name to know them by
				continue
			}
			if t := a.things[i.Name]; t == nil || t.kind != k || t.id != id {
				a.find("nobody asked for %s %s (%s)", k, i.Name, id)
			}
		}
	}
}

// checkAttachments compares what Droplets and volumes say of each other.
func (a *auditor) checkAttachments(droplets, volumes map[string]item) {
	for id, d := range droplets {
		for _, v := range d.VolumeIDs {
			if !slices.Contains(volumes[v].DropletIDs, json.Number(id)) {
				a.find("Droplet %s says that volume %s is attached, which does not", id, v)
			}
		}
	}
	for id, v := range volumes {
		for _, d := range v.DropletIDs {
			if !slices.Contains(droplets[d.String()].VolumeIDs, id) {
				a.find("volume %s says that it is attached to Droplet %s, which does not", id, d)
			}
		}
	}
}

// checkActions waits for the end of all actions that were acknowledged. One
// that was disturbed by a destroy may fail, no other. What has ended stays so.
func (a *auditor) checkActions() {
	for _, p := range a.promises {
		if p.status == "completed" || p.status == "errored" {
			continue
		}
		err := poll(30*time.Second, "the end of "+p.what, func() (bool, error) {
			res := a.get("/v2/actions/" + p.id)
			if !res.ok() {
				return false, fmt.Errorf("%s: action %s: %s", p.what, p.id, res.text())
			}
			p.status, _ = res.field("action.status")
			return p.status != "in-progress", nil
		})
		if err != nil {
			a.find("%v", err)
		}
		if p.status == "errored" {
			a.judgeErrored(p)
		}
	}
}

// judgeErrored decides about an action that failed: only a fault may make it
// where no destroy did. A Droplet whose create failed is gone.
func (a *auditor) judgeErrored(p *promise) {
	if !a.faulty && !p.disturbed() {
		a.find("%s: action %s is errored", p.what, p.id)
		return
	}
	if made := p.about[len(p.about)-1]; made != nil && p.what == "create of "+made.name {
		made.endings++
	}
}

func (p *promise) disturbed() bool {
	return slices.ContainsFunc(p.about, func(t *thing) bool { return t == nil || t.endings > 0 })
}

// checkDestroys waits for the end of all destroys with associated resources.
func (a *auditor) checkDestroys() {
	for id, accepted := range a.destroys {
		path := "/v2/droplets/" + id + "/destroy_with_associated_resources/status"
		var res answer
		err := poll(30*time.Second, "the end of the destroy of "+id, func() (bool, error) {
			res = a.get(path)
			_, done := res.field("completed_at")
			return done || !res.ok(), nil
		})
		if err != nil {
			a.find("%v", err)
		}
		if !res.ok() {
			if accepted {
				a.find("the destroy of %s was accepted and has no status: %s", id, res.text())
			}
			continue
		}
		a.checkDestroy(id, res)
	}
}

// destroyed is what the status of a destroy says of one thing.
type destroyed struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	DestroyedAt  string `json:"destroyed_at"`
	ErrorMessage string `json:"error_message"`
}

func (a *auditor) checkDestroy(id string, res answer) {
	var status struct {
		Droplet   destroyed              `json:"droplet"`
		Resources map[string][]destroyed `json:"resources"`
		Failures  int                    `json:"failures"`
	}
	if err := json.Unmarshal(res.body, &status); err != nil {
		a.find("the destroy of %s: %v", id, err)
		return
	}
	switch {
	case status.Droplet.DestroyedAt == "" && status.Droplet.ErrorMessage != onPurpose:
		a.find("the destroy of %s ended and the Droplet is there: %s", id, res.text())
	case status.Droplet.DestroyedAt != "":
		if droplet := a.get("/v2/droplets/" + id); !strings.HasPrefix(droplet.status, "404") {
			a.find("Droplet %s is destroyed and answers %s", id, droplet.status)
		}
	}
	for _, list := range status.Resources {
		for _, r := range list {
			if r.DestroyedAt != "" {
				a.gone[r.ID], a.gone[r.Name] = true, true
			} else if !strings.Contains(r.ErrorMessage, "it belongs to Droplet") && r.ErrorMessage != onPurpose {
				a.find("the destroy of %s left %s without a reason: %s", id, r.ID, res.text())
			}
		}
	}
}
