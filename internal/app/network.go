package app

import (
	"fmt"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
)

// CleanNetwork removes what routed networks have made on this host, after it has
// told what. While machines run on it, it is refused unless force is set.
func CleanNetwork(force bool, tell func(lines []string) error) error {
	found, err := routed.Find(0)
	if err != nil {
		return err
	}
	if running := found.Running(); len(running) > 0 && !force {
		return fmt.Errorf("machines run on this network (%s); power them off first, or cut them off with --force", strings.Join(running, ", "))
	}
	if err := tell(found.Lines()); err != nil {
		return err
	}
	return found.Remove()
}
