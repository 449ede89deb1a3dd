// Command checkstatic fails unless a binary is static: one that needs no other
// file of the system it runs on, so that it runs in an empty container.
package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: checkstatic BINARY")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "%s is not static: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// check looks for what makes the kernel or a loader open other files.
func check(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return errors.New("it asks for a dynamic loader")
		}
	}
	libraries, err := file.ImportedLibraries()
	if err == nil && len(libraries) > 0 {
		return fmt.Errorf("it needs %v", libraries)
	}
	return err
}
