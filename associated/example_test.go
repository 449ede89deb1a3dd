package associated_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
)

// client is a godo client of a server that plays a destroy whose volume fails
// once. With DigitalOcean it would be godo.NewFromToken(token).
func client() *godo.Client {
	answers := []string{failed, ended}
	mux := http.NewServeMux()
	base := "/v2/droplets/7/destroy_with_associated_resources"
	mux.HandleFunc("GET "+base, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"volumes":[{"id":"v","name":"data","cost":"10.00"}],"snapshots":[{"id":"61","name":"web-1","cost":"0.05"}]}`)
	})
	accept := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }
	mux.HandleFunc("DELETE "+base+"/selective", accept)
	mux.HandleFunc("POST "+base+"/retry", accept)
	mux.HandleFunc("GET "+base+"/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	})
	mux.HandleFunc("GET /v2/droplets", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"droplets":[{"id":7,"name":"web"}]}`)
	})
	client, err := godo.New(nil, godo.SetBaseURL(httptest.NewServer(mux).URL))
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// Destroy a Droplet with its volumes, keep its snapshots, and try again what
// fails.
func Example() {
	ctx := context.Background()
	destroyer := associated.New(client())
	list, _, err := destroyer.List(ctx, 7)
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range list.Volumes {
		fmt.Printf("keeping %s would cost $%s a month\n", v.Name, v.Cost)
	}
	if _, err := destroyer.DestroySelective(ctx, 7, associated.Select(list, associated.Volumes)); err != nil {
		log.Fatal(err)
	}
	_, err = destroyer.Wait(ctx, 7, nil)
	if failed, ok := errors.AsType[*associated.FailedError](err); ok {
		fmt.Println(failed)
		if _, err := destroyer.Retry(ctx, 7); err != nil {
			log.Fatal(err)
		}
		_, err = destroyer.Wait(ctx, 7, &associated.WaitOptions{
			Timeout:  10 * time.Minute,
			Progress: func(r associated.Resource) { fmt.Println("gone:", r.Name) },
		})
	}
	fmt.Println("error:", err)
	// Output:
	// keeping data would cost $10.00 a month
	// Droplet 7: could not destroy 1 of what was to go: volume data (disk on fire)
	// gone: data
	// gone: web
	// error: <nil>
}

// Create a Droplet only if it is not there yet.
func ExampleClient_EnsureDroplet() {
	web, _, err := associated.New(client()).EnsureDroplet(context.Background(), &godo.DropletCreateRequest{
		Name: "web", Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(web.Droplet.ID, web.Created)
	// Output: 7 false
}
