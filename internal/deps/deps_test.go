// Package deps keeps the directions of the imports between the layers.
package deps

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cistern-cloud/cistern/"

// A layer says which of the module's packages one package may import.
type layer struct {
	pkg     string
	may     []string // Beside itself. A name stands for that package only, not for those in its folder.
	stdOnly bool     // It may import nothing from outside the standard library either.
	why     string
}

// layers has a row for each package in internal, so that a new one is placed
// by decision. A row holds for the packages in its folder too, unless they have
// a row of their own.
var layers = []layer{
	{
		pkg: "internal/cloud", stdOnly: true,
		why: "it is the vocabulary that every layer shares, so it can depend on none of them",
	},
	{
		pkg: "internal/engine", stdOnly: true,
		why: "it says what a hypervisor must do, in types of its own, so that an engine needs nothing of the cloud",
	},
	{
		pkg: "internal/engine/sim", may: []string{"internal/engine", "internal/database"},
		why: "it keeps its own world like a hypervisor elsewhere; if it saw the cloud's rows or words, it would agree with them by construction",
	},
	{
		pkg: "internal/engine/qemu", may: []string{"internal/engine", "internal/database"},
		why: "it drives machines and keeps a record of them that is its own, whatever the cloud believes",
	},
	{
		pkg: "internal/database",
		why: "it knows connections, transactions and migrations, and no table of anyone",
	},
	{
		pkg: "internal/store", may: []string{"internal/cloud", "internal/database"},
		why: "it holds the SQL; rules live above it",
	},
	{
		pkg: "internal/op", may: []string{"internal/cloud", "internal/store"},
		why: "it runs any operation, so it can know none of them, nor what they do to an engine",
	},
	{
		pkg: "internal/control", may: []string{"internal/cloud", "internal/store", "internal/op", "internal/engine"},
		why: "it decides what users may ask, over whichever engine it is given, and does not know HTTP",
	},
	{
		pkg: "internal/api", may: []string{"internal/cloud", "internal/control", "internal/engine"},
		why: "it translates HTTP and asks control; around control, the rules would not be kept",
	},
	{
		pkg: "internal/app",
		may: []string{
			"internal/cloud", "internal/engine", "internal/engine/sim", "internal/engine/qemu", "internal/engine/incus",
			"internal/engine/qemu/host", "internal/engine/qemu/image", "internal/engine/qemu/routed", "internal/engine/qemu/usernet", "internal/engine/qemu/vnet",
			"internal/database", "internal/store", "internal/op", "internal/control", "internal/api", "internal/web",
		},
		why: "it joins everything below the commands, and is the one place that knows which engines exist",
	},
	{
		pkg: "internal/cli", may: []string{"internal/app", "internal/cloud", "associated"},
		why: "its commands are clients of the API, and reach the server through app, or any server through associated",
	},
	{
		pkg: "associated",
		why: "it is for clients of any server of this API, and adds nothing to what they depend on but godo",
	},
	{
		pkg: "cisterntest", may: []string{"internal/app"},
		why: "it is a server in a test's process and a client of it, and shows neither from inside",
	},
	{
		pkg: "cmd", may: []string{"internal/cli"},
		why: "it holds nothing but main, which nothing else imports",
	},
}

func TestImportDirections(t *testing.T) {
	for pkg, imports := range imports(t, "../..") {
		l, ok := layerOf(pkg)
		if !ok {
			if strings.HasPrefix(pkg, "internal/") {
				t.Errorf("%s has no row in the table of layers: decide what it may import", pkg)
			}
			continue
		}
		for _, imported := range imports {
			if reason := l.refuses(imported); reason != "" {
				t.Errorf("%s must not import %s: %s", pkg, imported, reason)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		pkg, imported string
		refused       bool
	}{
		{"internal/cloud", "github.com/google/uuid", true},
		{"internal/cloud", "net/netip", false},
		{"internal/cloud", module + "internal/engine", true},
		{"internal/database", "modernc.org/sqlite", false},
		{"internal/store", module + "internal/op", true},
		{"internal/control", module + "internal/engine", false},
		{"internal/control", module + "internal/engine/sim", true},
		{"internal/engine", module + "internal/engine/sim", true},
		{"internal/engine/sim", module + "internal/cloud", true},
		{"internal/engine/sim/disk", module + "internal/engine/sim", false},
		{"internal/api", module + "internal/store", true},
		{"internal/api", module + "internal/control/controltest", true},
		{"internal/app", module + "internal/engine/sim", false},
		{"internal/app", module + "internal/cli", true},
		{"internal/cli", module + "cmd/cistern", true},
		{"cmd/cistern", module + "internal/cli", false},
	}
	for _, test := range tests {
		l, _ := layerOf(test.pkg)
		if reason := l.refuses(test.imported); (reason != "") != test.refused {
			t.Errorf("%s imports %s: refused %q, want refused to be %t", test.pkg, test.imported, reason, test.refused)
		}
	}
}

// layerOf returns the row for a package: its own, or that of the nearest folder
// around it.
func layerOf(pkg string) (layer, bool) {
	for ; pkg != "."; pkg = path.Dir(pkg) {
		i := slices.IndexFunc(layers, func(l layer) bool { return l.pkg == pkg })
		if i >= 0 {
			return layers[i], true
		}
	}
	return layer{}, false
}

// holds tells whether a package belongs to this layer.
func (l layer) holds(pkg string) bool {
	of, _ := layerOf(pkg)
	return of.pkg == l.pkg
}

// refuses returns why this layer must not import a package, or "".
func (l layer) refuses(imported string) string {
	pkg, own := strings.CutPrefix(imported, module)
	switch {
	case !own && l.stdOnly && strings.Contains(imported, "."):
		return fmt.Sprintf("%s imports the standard library only; %s", l.pkg, l.why)
	case !own:
		return ""
	case isForTests(pkg):
		return "it serves tests, and would end up in the binary"
	case slices.Contains(l.may, pkg) || l.holds(pkg):
		return ""
	case len(l.may) == 0:
		return fmt.Sprintf("%s imports no other package of this module; %s", l.pkg, l.why)
	}
	return fmt.Sprintf("%s imports only %s; %s", l.pkg, strings.Join(l.may, ", "), l.why)
}

// isForTests tells the packages that tests share, such as enginetest. They may
// import what the tests of their layer may, which is anything.
func isForTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || strings.Contains(pkg, "test/")
}

// imports returns what each of the module's packages imports, tests left out.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		pkg := path.Dir(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(name) > 1 && (name[0] == '.' || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || isForTests(pkg):
			return nil
		}
		specs, err := importsOf(tree, name)
		found[pkg] = append(found[pkg], specs...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func importsOf(tree fs.FS, name string) ([]string, error) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		found = append(found, imported)
	}
	return found, nil
}
