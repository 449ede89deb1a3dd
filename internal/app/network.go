package app

import (
	"fmt"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
)

// CleanNetwork removes what routed networks have made on this host, after it has
// told what. While machines run on it, it is refused unless force is set. It
// returns the links that machines were cut off by.
func CleanNetwork(force bool, tell func(lines []string) error) (cut []string, err error) {
	found, err := routed.Find(0)
	if err != nil {
		return nil, err
	}
	cut = found.Running()
	if len(cut) > 0 && !force {
		return nil, fmt.Errorf("machines run on this network (%s); power them off first, or cut them off with --force, which only a power_cycle of each mends",
			strings.Join(cut, ", "))
	}
	if err := tell(found.Lines()); err != nil {
		return nil, err
	}
	return cut, found.Remove()
}
