package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/internal/api"
)

// godoServices are the services of godo whose methods are all to be exercised.
var godoServices = []string{
	"Account", "Actions", "DropletActions", "Droplets", "Firewalls", "FloatingIPActions", "FloatingIPs", "ImageActions",
	"Images", "Keys", "OneClick", "Projects", "Regions", "ReservedIPActions", "ReservedIPV6Actions", "ReservedIPV6s",
	"ReservedIPs", "Sizes", "Snapshots", "Storage", "StorageActions", "Tags", "VPCs",
}

// godoUnused is what is not exercised, and why. The server has no route for any
// of it, or one that is not built.
var godoUnused = map[string]string{
	"OneClick.InstallKubernetes": "Kubernetes is not among the families",
	"Projects.Create":            "there is the default project only",
	"Projects.Delete":            "there is the default project only",
	"Projects.Update":            "there is the default project only",
	"VPCs.CreateSubnet":          "subnets are not among the families",
	"VPCs.GetSubnet":             "subnets are not among the families",
	"VPCs.ListSubnets":           "subnets are not among the families",
	"VPCs.UpdateSubnet":          "subnets are not among the families",
	"VPCs.DeleteSubnet":          "subnets are not among the families",
}

// godoCalls are the methods of godo that were answered by a route.
var godoCalls sync.Map

// builtRoutes are the routes that are built, as expressions for a method and a
// path.
var builtRoutes = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, r := range api.Routes() {
		if !r.Unbuilt {
			name := regexp.QuoteMeta(unnamed(r.Method, r.Pattern))
			all = append(all, regexp.MustCompile("^"+strings.ReplaceAll(name, `\{\}`, `[^/]+`)+"$"))
		}
	}
	return all
})

func hasRoute(req *http.Request) bool {
	name := req.Method + " " + cleaned(req).URL.Path
	return slices.ContainsFunc(builtRoutes(), func(r *regexp.Regexp) bool { return r.MatchString(name) })
}

// noteGodo looks up which method of godo sends a request: it is on the stack.
func noteGodo(req *http.Request) {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		frame, more := frames.Next()
		if _, method, is := strings.Cut(frame.Function, "digitalocean/godo.(*"); is && hasRoute(req) {
			godoCalls.Store(strings.Replace(method, ").", ".", 1), true)
		}
		if !more {
			return
		}
	}
}

// godoMethods lists the methods of the services, each with the name that its
// implementation has on the stack.
func godoMethods() map[string]string {
	all := map[string]string{}
	client := reflect.ValueOf(godo.NewFromToken("")).Elem()
	for _, service := range godoServices {
		field := client.FieldByName(service)
		made := field.Elem().Elem().Type().Name()
		for i := range field.Type().NumMethod() {
			name := field.Type().Method(i).Name
			all[service+"."+name] = made + "." + name
		}
	}
	return all
}

// reportUnusedGodo fails a run of all tests in which a method of godo was not
// called, so that a newer godo is noticed.
func reportUnusedGodo() (code int) {
	complain := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "FAIL: "+format+"\n", args...)
		code = 1
	}
	methods := godoMethods()
	for name, onStack := range methods {
		_, used := godoCalls.Load(onStack)
		switch why := godoUnused[name]; {
		case !used && why == "":
			complain("no test calls godo's %s; add one, or give the reason in godoUnused", name)
		case used && why != "":
			complain("godo's %s is called; it does not belong in godoUnused", name)
		}
	}
	for name := range godoUnused {
		if methods[name] == "" {
			complain("godo has no %s; it does not belong in godoUnused", name)
		}
	}
	return code
}

// refuser is a transport that sends nothing and keeps what it should send.
type refuser struct{ asked *http.Request }

// RoundTrip keeps the request.
func (r *refuser) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asked = req
	return nil, errors.New("nothing is sent")
}

// What is left out for want of a route is left out only as long as that is so.
func TestGodoUnusedHasNoRoute(t *testing.T) {
	for name := range godoUnused {
		sent := &refuser{}
		service, method, _ := strings.Cut(name, ".")
		client := reflect.ValueOf(godo.NewClient(&http.Client{Transport: sent})).Elem()
		call := client.FieldByName(service).MethodByName(method)
		if !call.IsValid() {
			t.Errorf("godo has no %s", name)
			continue
		}
		call.Call(anyArguments(t, call.Type()))
		switch {
		case sent.asked == nil:
			t.Errorf("%s asks for nothing", name)
		case hasRoute(sent.asked):
			t.Errorf("%s %s has a route: exercise godo's %s and remove it from godoUnused", sent.asked.Method, sent.asked.URL.Path, name)
		}
	}
}

// anyArguments is something for each parameter of a method.
func anyArguments(t *testing.T, method reflect.Type) (all []reflect.Value) {
	for i := range method.NumIn() {
		switch in := method.In(i); {
		case in == reflect.TypeFor[context.Context]():
			all = append(all, reflect.ValueOf(t.Context()))
		case in.Kind() == reflect.String:
			all = append(all, reflect.ValueOf("1").Convert(in))
		case in.Kind() == reflect.Int:
			all = append(all, reflect.ValueOf(1).Convert(in))
		case in.Kind() == reflect.Pointer:
			all = append(all, reflect.New(in.Elem()))
		default:
			all = append(all, reflect.Zero(in))
		}
	}
	return all
}
