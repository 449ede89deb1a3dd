package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckRefusesWhatIsNotStatic(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, text + ".none"} {
		if err := check(path); err == nil {
			t.Errorf("%s: taken for a static binary", path)
		}
	}
}
