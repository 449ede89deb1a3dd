package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// modules are a kernel's, in a folder that was unpacked: where the file of each
// is, by name.
type modules map[string]string

func findModules(folder string) (modules, error) {
	found := modules{}
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if name, is := strings.CutSuffix(filepath.Base(path), ".ko"); is {
			found[moduleName(name)] = path
		}
		return err
	})
	return found, err
}

// moduleName is the one name of a module, of the several ways to write it.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// withNeeded returns the names of some modules and of all that they need, each
// after what it needs itself.
func (m modules) withNeeded(wanted ...string) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		if seen[name] {
			return nil
		}
		seen[name] = true
		needs, err := m.needs(name)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := add(need); err != nil {
				return err
			}
		}
		order = append(order, name)
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// needs reads what a module says that it needs.
func (m modules) needs(name string) ([]string, error) {
	path, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("the kernel's module %s %w", name, errNotThere)
	}
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("the kernel's module %s says nothing about itself", name)
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(data, []byte{0}) {
		if list, is := bytes.CutPrefix(field, []byte("depends=")); is && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}

// install copies modules, with what they need, to where modprobe looks for those
// of a kernel's version.
func (m modules) install(root, version string, wanted ...string) error {
	order, err := m.withNeeded(wanted...)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "lib/modules", version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var index strings.Builder
	for _, name := range order {
		if err := copyFile(m[name], filepath.Join(dir, name+".ko"), 0o644); err != nil {
			return err
		}
		all, err := m.withNeeded(name)
		if err != nil {
			return err
		}
		index.WriteString(name + ".ko:")
		for i := len(all) - 2; i >= 0; i-- { // the nearest first, as modprobe's index has it
			index.WriteString(" " + all[i] + ".ko")
		}
		index.WriteString("\n")
	}
	return os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(index.String()), 0o644)
}
