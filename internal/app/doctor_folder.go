package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
)

// folder checks where disks and sockets go.
func (d Doctor) folder(root bool) []Check {
	return []Check{d.checkFolder(root, host.Writable(d.Data)), d.checkDisk(host.ReadDisk(d.Data))}
}

func (d Doctor) checkFolder(root bool, err error) Check {
	c := Check{"data", CheckOK, d.Data, ""}
	closed := ""
	if err == nil && root {
		closed, err = host.Closed(d.Data)
	}
	switch {
	case err != nil:
		c.State, c.Found, c.Fix = CheckProblem, whyNot(err), d.mendFolder(root, err)
	case closed != "":
		c.State = CheckProblem
		c.Found = fmt.Sprintf("%s: machines run as a user who is not root, and nobody else can go through %s", d.Data, closed)
		c.Fix = d.elsewhere(root)
	}
	return c
}

// whyNot says why a folder will not do.
func whyNot(err error) string {
	if failed, is := errors.AsType[*fs.PathError](err); is && errors.Is(err, syscall.ENOTDIR) {
		return failed.Path + " is a file and not a folder"
	}
	return err.Error()
}

// mendFolder is a command that gives the folder to this user, where that mends it
// and takes nothing from anybody; else it is one with another folder.
func (d Doctor) mendFolder(root bool, err error) string {
	if !root && errors.Is(err, fs.ErrPermission) && canBeGiven(d.Data) {
		return give(d.Data)
	}
	return d.elsewhere(root)
}

// canBeGiven reports whether root could make a folder for this user: it is
// nobody's yet, and this user gets to where it would be. Where there is no room
// at all, as in /proc, there are no folders to be made.
func canBeGiven(folder string) bool {
	nearest, err := host.Nearest(folder)
	if err != nil {
		return false
	}
	if nearest == folder {
		if there, err := os.ReadDir(folder); err != nil || len(there) > 0 {
			return false
		}
	}
	disk, err := host.ReadDisk(folder)
	return err == nil && disk.Total > 0
}

func give(folder string) string {
	return asRoot(fmt.Sprintf("install -d -m 700 -o %s %s", userName(), word(folder)))
}

// elsewhere is a command with a folder that will do.
func (d Doctor) elsewhere(root bool) string {
	if usual := DefaultData(); !root && usual != d.Data && host.Writable(usual) == nil {
		return d.serve() + " --data " + word(usual)
	}
	for _, folder := range []string{"/var/lib/cistern", "/srv/cistern"} {
		switch serve := d.serve() + " --data " + folder; {
		case folder == d.Data:
		case root:
			return serve
		case canBeGiven(folder):
			return give(folder) + " && " + serve
		}
	}
	return d.serve() + " --data FOLDER"
}

func (d Doctor) checkDisk(disk host.Disk, err error) Check {
	if err != nil {
		return Check{"disk", CheckProblem, err.Error(), d.elsewhere(host.Root())}
	}
	c := Check{"disk", CheckOK, fmt.Sprintf("%s of %s free", gibibytes(disk.Free), gibibytes(disk.Total)), ""}
	return scarce(c, disk.Free, 1<<30, 10<<30, "a machine needs 1 GiB at least",
		"df -h # and choose a folder with --data where there is more")
}

// scarce judges how much of something is free: less than one machine needs is a
// problem, and less than several do a warning.
func scarce(c Check, free, one, several int64, need, fix string) Check {
	switch {
	case free < one:
		c.State, c.Fix = CheckProblem, fix
		c.Found += "; " + need
	case free < several:
		c.State, c.Fix = CheckWarning, fix
		c.Found += "; few machines fit in"
	}
	return c
}

// users checks who machines would run as. Only root can choose.
func (d Doctor) users(root bool) []Check {
	if !root && d.VMUser == "" && d.VMUIDs == "" {
		return nil
	}
	shared, err := findVMUser(d.VMUser, root)
	own, err2 := findVMUIDs(d.VMUIDs, root)
	switch err := errors.Join(err, err2); {
	case err != nil:
		return []Check{{"users", CheckProblem, err.Error(), d.mendUsers(root)}}
	case shared == nil: // machines are this user's
		return nil
	}
	return []Check{d.checkUsers(shared.name, own)}
}

// mendUsers is a command without what cannot be, or one that makes the user who is
// looked for first.
func (d Doctor) mendUsers(root bool) string {
	if root && d.VMUser == "" && d.VMUIDs == "" {
		return addUser(defaultVMUsers[0])
	}
	return d.serve()
}

func (d Doctor) checkUsers(shared string, own vmUIDs) Check {
	switch {
	case own.count > 0:
		return Check{"users", CheckOK, fmt.Sprintf("each machine has one of the user IDs %d to %d, in the group of %s", own.first, own.first+own.count-1, shared), ""}
	case d.VMUIDs == "":
		return Check{"users", CheckWarning, "machines share the user " + shared + ", as root has few user IDs here; --vm-uids names others", ""}
	default:
		return Check{"users", CheckOK, "machines share the user " + shared, ""}
	}
}

// images looks for what machines start from.
func (d Doctor) images() Check {
	store, err := OpenImages(d.Data)
	if err != nil {
		return Check{"images", CheckProblem, err.Error(), d.elsewhere(host.Root())}
	}
	images, broken, err := store.store.Look()
	if err != nil {
		return Check{"images", CheckProblem, err.Error(), d.elsewhere(host.Root())}
	}
	return d.checkImages(images, broken)
}

func (d Doctor) checkImages(images []image.Image, broken []*image.Broken) Check {
	var names, remove []string
	for _, i := range images {
		names = append(names, i.Slug)
	}
	c := Check{Name: "images", State: CheckOK, Found: strings.Join(names, ", ")}
	if len(images) == 0 {
		c.Found = "there is none in " + filepath.Join(d.Data, imageFolder)
	}
	for _, b := range broken {
		c.State, c.Found, remove = CheckWarning, c.Found+"; "+b.Error(), append(remove, d.removal(b))
	}
	if len(images) == 0 {
		c.State, remove = CheckProblem, append(remove, d.withData("cistern image build tiny"))
	}
	c.Fix = strings.Join(remove, " && ")
	return c
}

// removal is the command that removes a broken image. A folder whose name is no
// slug has never been one.
func (d Doctor) removal(b *image.Broken) string {
	if !image.IsSlug(b.Slug) {
		return "rm -r " + word(b.Dir)
	}
	return d.withData("cistern image rm " + b.Slug)
}
