package image

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// programFolders are where packages have programs, and libraryFolders what those
// are linked with.
var (
	programFolders = []string{"bin", "sbin", "usr/bin", "usr/sbin"}
	libraryFolders = []string{"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"}
)

// loader is the program that every linked program begins with.
const loader = "lib64/ld-linux-x86-64.so.2"

// installPrograms copies programs out of unpacked packages, with the libraries
// that they need and nothing else.
func installPrograms(files, root string, programs ...string) error {
	for _, name := range programs {
		from, err := findIn(files, programFolders, name)
		if err != nil {
			return err
		}
		if err := copyFile(from, filepath.Join(root, "bin", name), 0o755); err != nil {
			return err
		}
		if err := installLibraries(files, root, from); err != nil {
			return err
		}
	}
	return copyFile(filepath.Join(files, loader), filepath.Join(root, loader), 0o755)
}

// installLibraries copies what a program or library is linked with.
func installLibraries(files, root, of string) error {
	file, err := elf.Open(of)
	if err != nil {
		return err
	}
	defer file.Close()
	names, err := file.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range names {
		to := filepath.Join(root, "lib/x86_64-linux-gnu", name)
		if _, err := os.Stat(to); err == nil || name == path.Base(loader) {
			continue
		}
		from, err := findIn(files, libraryFolders, name)
		if err != nil {
			return fmt.Errorf("%s needs a library: %w", filepath.Base(of), err)
		}
		if err := copyFile(from, to, 0o644); err != nil {
			return err
		}
		if err := installLibraries(files, root, from); err != nil {
			return err
		}
	}
	return nil
}

func findIn(root string, folders []string, name string) (string, error) {
	for _, folder := range folders {
		found := filepath.Join(root, folder, name)
		if _, err := os.Stat(found); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s %w", name, errNotThere)
}

// copyFile copies a file, and makes the folder that it goes to.
func copyFile(from, to string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Chmod(mode); err != nil {
		return err
	}
	return out.Close()
}
