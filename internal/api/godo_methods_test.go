package api_test

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/digitalocean/godo"
)

// godoServices are the services of godo whose methods are all to be exercised.
var godoServices = []string{
	"Account", "Actions", "DropletActions", "Droplets", "Firewalls", "FloatingIPActions", "FloatingIPs", "ImageActions",
	"Images", "Keys", "OneClick", "Projects", "Regions", "ReservedIPActions", "ReservedIPV6Actions", "ReservedIPV6s", "ReservedIPs", "Sizes",
	"Snapshots", "Storage", "StorageActions", "Tags", "VPCs",
}

// godoUnused is what is not exercised, and why.
var godoUnused = map[string]string{
	"VPCs.CreateSubnet": "subnets are not among the families", "VPCs.GetSubnet": "subnets are not among the families",
	"VPCs.ListSubnets": "subnets are not among the families", "VPCs.UpdateSubnet": "subnets are not among the families",
	"VPCs.DeleteSubnet":          "subnets are not among the families",
	"OneClick.InstallKubernetes": "Kubernetes is not among the families",
}

// godoUnbuilt is what needs operations that answer 501.
const godoUnbuilt = `
Projects.Create Projects.Delete Projects.Update
`

// godoCalls are the methods of godo that were answered with anything but 501.
var godoCalls sync.Map

// noteGodo looks up which method of godo sends a request: it is on the stack.
func noteGodo(status int) {
	if status == 501 {
		return
	}
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		frame, more := frames.Next()
		if _, method, is := strings.Cut(frame.Function, "digitalocean/godo.(*"); is {
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
	unbuilt := strings.Fields(godoUnbuilt)
	for name, onStack := range methods {
		_, used := godoCalls.Load(onStack)
		switch why := godoUnused[name]; {
		case slices.Contains(unbuilt, name):
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
