package image

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// Guests start on a host that has no time for them, and again where one panics.
func TestGuestsStartOnBusyHosts(t *testing.T) {
	grub, err := debianFiles.ReadFile("debian/grub.cfg")
	if err != nil {
		t.Fatal(err)
	}
	_, debian, _ := strings.Cut(string(grub), "\nlinux ")
	debian, _, _ = strings.Cut(debian, "\n")
	for name, line := range map[string]string{"tiny": tinyCmdline, "debian-12": debian} {
		for _, want := range []string{"no_timer_check", "panic=10"} {
			if !slices.Contains(strings.Fields(line), want) {
				t.Errorf("%s: %q has no %s", name, line, want)
			}
		}
	}
}

func TestPartitionTable(t *testing.T) {
	const want = "80feffff83feffff0008000000f83f00"
	table := partitionTable(2048, 4192256)
	if got := hex.EncodeToString(table[:16]); got != want || len(table) != 66 || table[64] != 0x55 || table[65] != 0xaa {
		t.Errorf("%s, %d bytes; want %s", got, len(table), want)
	}
}

// A changed recipe is another one, and what is not there has none.
func TestFingerprints(t *testing.T) {
	tiny, debian := Fingerprint("tiny"), Fingerprint("debian-12")
	if len(tiny) != 12 || tiny == debian || tiny != Fingerprint("tiny") || Fingerprint("debian-12-x64") != debian || Fingerprint("x") != "" {
		t.Errorf("%q, %q", tiny, debian)
	}
}
