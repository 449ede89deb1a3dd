package metadata

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Handler answers one machine's requests with what document says at the time.
// Where document knows no such machine, nothing is found.
func Handler(document func() (Document, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metadata can only be read", http.StatusMethodNotAllowed)
			return
		}
		d, ok := document()
		if !ok {
			http.NotFound(w, r)
			return
		}
		serve(w, r, d)
	})
}

func serve(w http.ResponseWriter, r *http.Request, d Document) {
	path := r.URL.Path
	if path == "/metadata/v1.json" {
		serveJSON(w, d)
		return
	}
	if path == "/v1/maintenance_event" {
		path = "/metadata" + path // it is documented at both
	}
	below, ok := strings.CutPrefix(path, "/metadata/v1")
	if !ok || below != "" && below[0] != '/' {
		http.NotFound(w, r)
		return
	}
	switch found, exact, ok := tree(d).find(below); {
	case !ok:
		http.NotFound(w, r)
	case !exact:
		w.Header().Set("Location", path+"/")
		w.WriteHeader(http.StatusMovedPermanently)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(found.text()))
	}
}

// serveJSON writes the whole document. Lists are never null in it.
func serveJSON(w http.ResponseWriter, d Document) {
	for _, list := range []*[]string{&d.PublicKeys, &d.DNS.Nameservers, &d.Tags} {
		if *list == nil {
			*list = []string{}
		}
	}
	body, err := json.Marshal(d)
	if err != nil {
		http.Error(w, "the metadata could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
