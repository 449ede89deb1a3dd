package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// crowd is how many Droplets there should be at most.
const crowd = 12

// worker is one of the clients that keep a server busy.
type worker struct {
	*ledger
	url, token string
}

// onPurpose is the error of every fault that the workload sets.
const onPurpose = "struck on purpose"

// work keeps a server busy with several clients until it dies. With faults the
// engine fails now and then, so that undoing is cut off too.
func (l *ledger) work(url, token string, clients int, faults bool, died <-chan struct{}) {
	w := &worker{l, url, token}
	w.send(http.MethodDelete, "/_sim/faults", "", nil)
	w.faulty = faults
	if faults {
		w.addFaults()
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-died:
					return
				default:
					w.doSomething()
				}
			}
		})
	}
	all.Wait()
}

// addFaults makes some of the engine's operations fail a few times.
func (w *worker) addFaults() {
	for _, operation := range engine.Operations {
		if w.n(2) == 0 {
			w.send(http.MethodPost, "/_sim/faults", fmt.Sprintf(
				`{"operation":%q,"error":%q,"transient":%t,"times":%d,"delay":"%dms"}`,
				operation, onPurpose, w.n(2) == 0, 1+w.n(3), w.n(40)), nil)
		}
	}
}

// send asks for something. What is neither done nor refused is a complaint,
// unless no answer came at all.
func (w *worker) send(method, path, body string, header http.Header) (answer, outcome) {
	a := request(method, w.url+path, w.token, body, header)
	switch {
	case a.err != nil:
		return a, unknown
	case a.ok():
		return a, acknowledged
	case strings.HasPrefix(a.status, "4"), strings.Contains(string(a.body), onPurpose):
		return a, refused
	}
	w.complain(fmt.Sprintf("%s %s %s: %s", method, path, body, a.text()))
	return a, unknown
}

// doSomething makes one request of many kinds, or a few that belong together.
func (w *worker) doSomething() {
	things := []func(){
		w.createDroplet, w.createDroplet, w.createDroplet, w.createVolume, w.createVolume, w.attach, w.attach, w.detach,
		w.snapshotVolume, w.power, w.power, w.power, w.reserve, w.assign, w.assign, w.deletePart, w.destroy, w.destroy,
	}
	if len(w.alive(droplets)) > crowd {
		w.destroy()
		return
	}
	things[w.n(len(things))]()
}

// create asks for something new and notes what became of it.
func (w *worker) create(k kind, name, path, body, idField string) (*thing, answer, outcome) {
	t := w.begin(k, name)
	a, o := w.send(http.MethodPost, path, body, nil)
	id, ok := a.field(idField)
	if o == acknowledged && !ok {
		w.complain(fmt.Sprintf("no %s in %s", idField, a.text()))
	}
	w.created(t, o, id)
	return t, a, o
}

func (w *worker) createDroplet() {
	name, with, about := fmt.Sprintf("web-%d", w.nextSerial()), "", []*thing{}
	if v := w.any(volumes); v != nil && w.n(3) == 0 {
		with, about = `,"volumes":["`+v.id+`"]`, append(about, v)
	}
	t, a, o := w.create(droplets, name, "/v2/droplets",
		`{"name":"`+name+`","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"`+with+`}`, "droplet.id")
	if o == acknowledged {
		w.expect(a, "links.actions.0.id", "create of "+name, append(about, t)...)
	}
}

// expect notes the action that an answer names.
func (w *worker) expect(a answer, field, what string, about ...*thing) {
	id, ok := a.field(field)
	if !ok {
		w.complain(fmt.Sprintf("no %s in %s", field, a.text()))
		return
	}
	w.promise(id, what, about...)
}

func (w *worker) createVolume() {
	name := fmt.Sprintf("data-%d", w.nextSerial())
	w.create(volumes, name, "/v2/volumes", `{"name":"`+name+`","region":"nyc3","size_gigabytes":10}`, "volume.id")
}

func (w *worker) snapshotVolume() {
	if v := w.any(volumes); v != nil {
		name := fmt.Sprintf("copy-%d", w.nextSerial())
		w.create(snapshots, name, "/v2/volumes/"+v.id+"/snapshots", `{"name":"`+name+`"}`, "snapshot.id")
	}
}

// act starts an action and notes that it must end.
func (w *worker) act(path, body string, about ...*thing) {
	if a, o := w.send(http.MethodPost, path, body, nil); o == acknowledged {
		w.expect(a, "action.id", path+" "+body, about...)
	}
}

func (w *worker) attach() {
	if d, v := w.any(droplets), w.any(volumes); d != nil && v != nil {
		w.act("/v2/volumes/"+v.id+"/actions", `{"type":"attach","droplet_id":`+d.id+`}`, d, v)
	}
}

// detach takes a volume from the Droplet that it is attached to, if any.
func (w *worker) detach() {
	v := w.any(volumes)
	if v == nil {
		return
	}
	a, _ := w.send(http.MethodGet, "/v2/volumes/"+v.id, "", nil)
	if id, attached := a.field("volume.droplet_ids.0"); attached {
		// A Droplet that nobody knows yet was left by a create without an answer.
		w.act("/v2/volumes/"+v.id+"/actions", `{"type":"detach","droplet_id":`+id+`}`, w.byID(droplets, id), v)
	}
}

func (w *worker) power() {
	actions := []string{
		`{"type":"power_off"}`, `{"type":"power_on"}`, `{"type":"reboot"}`, `{"type":"shutdown"}`, `{"type":"snapshot"}`,
		`{"type":"rename","name":"renamed"}`,
	}
	if d := w.any(droplets); d != nil {
		// Names are how things are found again, so nothing is renamed in fact.
		w.act("/v2/droplets/"+d.id+"/actions", strings.ReplaceAll(actions[w.n(len(actions))], "renamed", d.name), d)
	}
}

func (w *worker) reserve() {
	name, body := fmt.Sprintf("ip-%d", w.nextSerial()), `{"region":"nyc3"}`
	d := w.any(droplets)
	if d != nil && w.n(2) == 0 {
		body = `{"droplet_id":` + d.id + `}`
	}
	_, a, o := w.create(addresses, name, "/v2/reserved_ips", body, "reserved_ip.ip")
	if _, assigned := a.field("links.actions.0.id"); o == acknowledged && assigned {
		w.expect(a, "links.actions.0.id", "assign of a new reserved IP", d)
	}
}

func (w *worker) assign() {
	ip, d := w.any(addresses), w.any(droplets)
	if ip == nil || d == nil {
		return
	}
	body := `{"type":"assign","droplet_id":` + d.id + `}`
	if w.n(3) == 0 {
		body = `{"type":"unassign"}`
	}
	// The Droplet that the address comes from, which may be any, is acted on too.
	w.act("/v2/reserved_ips/"+ip.id+"/actions", body, append(w.alive(droplets), nil)...)
}

// deletePart deletes a volume, a snapshot or an address.
func (w *worker) deletePart() {
	k := []kind{volumes, snapshots, addresses}[w.n(3)]
	t := w.any(k)
	if t == nil {
		return
	}
	path := map[kind]string{volumes: "/v2/volumes/", snapshots: "/v2/volumes/snapshots/", addresses: "/v2/reserved_ips/"}
	w.ending(t)
	_, o := w.send(http.MethodDelete, path[k]+t.id, "", nil)
	w.ended(t, o)
}

// destroy ends a Droplet in one of three ways.
func (w *worker) destroy() {
	t := w.any(droplets)
	if t == nil {
		return
	}
	w.ending(t)
	path := "/v2/droplets/" + t.id
	with := path + "/destroy_with_associated_resources"
	var o outcome
	switch w.n(3) {
	case 0:
		_, o = w.send(http.MethodDelete, path, "", nil)
		w.ended(t, o)
		return
	case 1:
		_, o = w.send(http.MethodDelete, with+"/dangerous", "", http.Header{"X-Dangerous": {"true"}})
	case 2:
		a, _ := w.send(http.MethodGet, with, "", nil)
		body := "{}"
		if id, ok := a.field("volumes.0.id"); ok {
			body = `{"volumes":["` + id + `"]}`
		}
		_, o = w.send(http.MethodDelete, with+"/selective", body, nil)
	}
	w.destroyed(t, o)
	w.ended(t, o)
}
