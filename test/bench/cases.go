package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
)

// bench is one run on one kind of database.
type bench struct {
	config
	kind string
}

// parts are what a run consists of, in order.
var parts = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"empty", (*bench).empty},
	{"creates", (*bench).creates8and64},
	{"destroy", (*bench).destroy100},
	{"waiting", (*bench).manyWaiting},
	{"small", (*bench).small},
	{"large", (*bench).large},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func (b *bench) all(ctx context.Context) error {
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), p.name) {
			continue
		}
		if err := p.measure(b, ctx); err != nil {
			return err
		}
	}
	return nil
}

func figure(name, format string, args ...any) {
	fmt.Printf("  %-58s %s\n", name, fmt.Sprintf(format, args...))
}

// with runs f against a server on an empty store.
func (b *bench) with(f func(*server, storage) error, flags ...string) error {
	s, remove, err := b.newStorage()
	if err != nil {
		return err
	}
	defer remove()
	srv, err := b.start(s, flags...)
	if err != nil {
		return err
	}
	defer func() { _ = srv.stop() }()
	return f(srv, s)
}

func (b *bench) empty(context.Context) error {
	s, remove, err := b.newStorage()
	if err != nil {
		return err
	}
	defer remove()
	for _, when := range []string{"made anew", "made before"} {
		srv, err := b.start(s)
		if err != nil {
			return err
		}
		figure("first answer after start, empty store "+when, "%d ms", srv.first.Milliseconds())
		if when == "made before" {
			figure("memory, idle, empty store", "%.0f MiB", srv.memory())
		}
		if err := srv.stop(); err != nil {
			return err
		}
	}
	return nil
}

const dropletJSON = `{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`

// creates8and64 measures creates until they are accepted, and until the last of
// their operations has ended, beside the same rows written in process.
func (b *bench) creates8and64(ctx context.Context) error {
	for _, clients := range []int{8, 64} {
		err := b.with(func(srv *server, s storage) error {
			start := time.Now()
			accepted, err := load(clients, b.creates, func(c *http.Client, _ int) error {
				_, err := request(c, http.MethodPost, srv.url+"/v2/droplets", dropletJSON)
				return err
			})
			if err != nil {
				return err
			}
			if err := srv.settle(b.creates); err != nil {
				return err
			}
			ended := float64(b.creates) / time.Since(start).Seconds()
			rows, err := b.inProcess(ctx, clients)
			if err != nil {
				return err
			}
			figure(fmt.Sprintf("creates at %d connections, accepted", clients), "%.0f/s, %.2f of the same rows in process (%.0f/s)", accepted, accepted/rows, rows)
			figure(fmt.Sprintf("creates at %d connections, to the operation's end", clients), "%.0f/s, %.2f of them", ended, ended/rows)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the newest n actions have ended.
func (s *server) settle(n int) error {
	for page := (n + 199) / 200; page >= 1; {
		answer, err := s.get("/v2/actions?per_page=200&page=" + strconv.Itoa(page))
		if err != nil {
			return err
		}
		if strings.Contains(string(answer), `"in-progress"`) {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		page--
	}
	return nil
}

// inProcess writes the rows of a create (a Droplet's, its action's, its hold's
// and the account's count) with the same driver and durability, from as many
// goroutines, and nothing else.
func (b *bench) inProcess(ctx context.Context, writers int) (float64, error) {
	s, remove, err := b.newStorage()
	if err != nil {
		return 0, err
	}
	defer remove()
	db, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.Write(ctx, func(tx *database.Tx) error {
		for _, table := range []string{"droplet", "action", "hold"} {
			if _, err := tx.Exec("CREATE TABLE " + table + " (id BIGINT NOT NULL PRIMARY KEY, data TEXT NOT NULL)"); err != nil {
				return err
			}
		}
		_, err := tx.Exec("CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, droplets BIGINT NOT NULL)")
		if err == nil {
			_, err = tx.Exec("INSERT INTO account (id, droplets) VALUES (1, 0)")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	data := strings.Repeat("x", 300)
	return load(writers, b.creates, func(_ *http.Client, i int) error {
		return db.Write(ctx, func(tx *database.Tx) error {
			for _, table := range []string{"droplet", "action", "hold"} {
				if _, err := tx.Exec("INSERT INTO "+table+" (id, data) VALUES ($1, $2)", int64(i), data); err != nil {
					return err
				}
			}
			_, err := tx.Exec("UPDATE account SET droplets = droplets + 1 WHERE id = 1")
			return err
		})
	})
}

// destroy100 destroys a Droplet with 15 volumes, 84 snapshots of them and of
// itself, and a reserved IP.
func (b *bench) destroy100(context.Context) error {
	return b.with(func(srv *server, _ storage) error {
		droplet, err := srv.furnish()
		if err != nil {
			return err
		}
		path := "/v2/droplets/" + droplet + "/destroy_with_associated_resources"
		start := time.Now()
		if _, err := srv.do(http.MethodDelete, path+"/dangerous", ""); err != nil {
			return err
		}
		for {
			answer, err := srv.get(path + "/status")
			if err != nil {
				return err
			}
			if strings.Contains(string(answer), `"completed_at"`) {
				figure("destroy of a Droplet with 100 associated resources", "%d ms", time.Since(start).Milliseconds())
				if !strings.Contains(string(answer), `"failures":0`) {
					return fmt.Errorf("the destroy failed: %s", answer)
				}
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// furnish makes a Droplet with 100 associated resources.
func (s *server) furnish() (droplet string, err error) {
	var made struct {
		Droplet struct{ ID int64 }
		Volume  struct{ ID string }
	}
	post := func(path, body string) {
		if err != nil {
			return
		}
		var answer []byte
		if answer, err = s.do(http.MethodPost, path, body); err == nil {
			_ = json.Unmarshal(answer, &made)
			err = s.settle(1)
		}
	}
	post("/v2/droplets", dropletJSON)
	droplet = strconv.FormatInt(made.Droplet.ID, 10)
	for i := range 15 {
		post("/v2/volumes", fmt.Sprintf(`{"name":"v%d","region":"nyc3","size_gigabytes":1}`, i))
		volume := "/v2/volumes/" + made.Volume.ID
		post(volume+"/actions", `{"type":"attach","droplet_id":`+droplet+`}`)
		for n := range 4 {
			post(volume+"/snapshots", fmt.Sprintf(`{"name":"s%d"}`, n))
		}
	}
	for range 24 {
		post("/v2/droplets/"+droplet+"/actions", `{"type":"snapshot"}`)
	}
	post("/v2/reserved_ips", `{"droplet_id":`+droplet+`}`)
	return droplet, err
}

// manyWaiting holds many operations up at once, and looks at what they cost and
// how long all take once they are due.
func (b *bench) manyWaiting(context.Context) error {
	return b.with(func(srv *server, _ storage) error {
		const hold = 30 * time.Second
		if _, err := srv.do(http.MethodPost, "/_sim/faults", `{"operation":"machine.start","delay":"`+hold.String()+`"}`); err != nil {
			return err
		}
		start := time.Now()
		if _, err := load(32, b.waiting, func(c *http.Client, _ int) error {
			_, err := request(c, http.MethodPost, srv.url+"/v2/droplets", dropletJSON)
			return err
		}); err != nil {
			return err
		}
		accepted := time.Since(start)
		rate, err := load(8, b.requests/10, func(c *http.Client, _ int) error {
			_, err := request(c, http.MethodGet, srv.url+"/v2/account", "")
			return err
		})
		if err != nil {
			return err
		}
		figure(fmt.Sprintf("GET account while %d operations wait", b.waiting), "%.0f/s", rate)
		figure(fmt.Sprintf("memory while %d operations wait", b.waiting), "%.0f MiB", srv.memory())
		if err := srv.settle(b.waiting); err != nil {
			return err
		}
		late := time.Since(start) - accepted - hold
		figure(fmt.Sprintf("%d operations that waited %s, all ended after", b.waiting, hold), "%.1f s more", max(0, late.Seconds()))
		return nil
	})
}

func (b *bench) small(ctx context.Context) error { return b.reads(ctx, b.few, false) }
func (b *bench) large(ctx context.Context) error { return b.reads(ctx, b.many, true) }

// reads measures reading in a store of n Droplets.
func (b *bench) reads(ctx context.Context, n int, withOne bool) error {
	s, remove, err := b.newStorage()
	if err != nil {
		return err
	}
	defer remove()
	srv, err := b.start(s) // makes the account
	if err != nil {
		return err
	}
	if err := srv.stop(); err != nil {
		return err
	}
	if err := s.fill(ctx, n); err != nil {
		return err
	}
	if srv, err = b.start(s); err != nil {
		return err
	}
	defer func() { _ = srv.stop() }()
	figure(fmt.Sprintf("first answer after start, %d Droplets", n), "%d ms", srv.first.Milliseconds())
	if withOne {
		if err := b.read(srv, "GET one Droplet", "/v2/droplets/1000100", 8, b.requests); err != nil {
			return err
		}
	}
	pages := n / 200
	for _, page := range []int{1, pages / 2, pages} {
		name := fmt.Sprintf("list 200 of %d, page %d", n, page)
		if err := b.read(srv, name, "/v2/droplets?per_page=200&page="+strconv.Itoa(page), 4, b.requests/50); err != nil {
			return err
		}
	}
	figure(fmt.Sprintf("memory with %d Droplets, after these", n), "%.0f MiB", srv.memory())
	return nil
}

// read measures one GET beside the yardstick.
func (b *bench) read(srv *server, name, path string, clients, requests int) error {
	body, err := srv.get(path)
	if err != nil {
		return err
	}
	ours := func(c *http.Client, _ int) error {
		_, err := request(c, http.MethodGet, srv.url+path, "")
		return err
	}
	if _, err := load(clients, requests/10, ours); err != nil { // warm up
		return err
	}
	rate, err := load(clients, requests, ours)
	if err != nil {
		return err
	}
	yardstick, err := bare(body, clients, requests)
	if err != nil {
		return err
	}
	figure(name, "%.0f/s, %.2f of a bare server with the same %d bytes (%.0f/s)", rate, rate/yardstick, len(body), yardstick)
	return nil
}
