package image

import (
	"encoding/hex"
	"testing"
)

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
