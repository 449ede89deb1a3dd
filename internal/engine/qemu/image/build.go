package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// recipe is an image that can be built here from Debian's packages.
type recipe struct {
	Spec
	// tools are the programs that it needs, each with Debian's package.
	tools map[string]string
	// files and contents are what it is made of, but for Debian's packages.
	files    embed.FS
	contents []any
	build    func(ctx context.Context, b *builder) error
}

// Recipes are the slugs of the images that can be built.
func Recipes() []string {
	var slugs []string
	for _, r := range recipes() {
		slugs = append(slugs, r.Slug)
	}
	return slugs
}

func recipes() []recipe { return []recipe{tiny(), debian12()} }

// Fingerprint tells one way of making the image of a recipe from another. It is
// empty if there is no such recipe.
func Fingerprint(name string) string {
	all := recipes()
	i := slices.IndexFunc(all, func(r recipe) bool { return r.answersTo(name) })
	if i < 0 {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintln(sum, all[i].contents...)
	_ = fs.WalkDir(all[i].files, ".", func(name string, d fs.DirEntry, err error) error { // what is embedded can be read
		if err != nil || d.IsDir() {
			return err
		}
		data, err := all[i].files.ReadFile(name)
		fmt.Fprintln(sum, name, len(data))
		_, _ = sum.Write(data) // it cannot fail
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// Build makes the image of a recipe from Debian's packages: without root, and
// without mounting anything. It tells each step as it begins.
func (s *Store) Build(ctx context.Context, name string, tell func(step string)) (Image, error) {
	all := recipes()
	i := slices.IndexFunc(all, func(r recipe) bool { return r.answersTo(name) })
	if i < 0 {
		return Image{}, fmt.Errorf("there is no recipe for %q; there are %s", name, strings.Join(Recipes(), " and "))
	}
	r := all[i]
	if err := s.free(r.Spec); err != nil { // before anything is to be installed for it
		return Image{}, err
	}
	if err := missingTools(r.tools); err != nil {
		return Image{}, fmt.Errorf("building %s %w", name, err)
	}
	return s.install(r.Spec, func(dir string, image *Image) error {
		work, err := os.MkdirTemp(filepath.Dir(dir), "work-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(work) }() // else it goes with the folder around it
		return r.build(ctx, &builder{work: work, out: dir, image: image, tell: tell})
	})
}

func (r recipe) answersTo(name string) bool {
	return slices.Contains(r.slugs(), name)
}

// builder is one image that is being built: in the folder work, out of which the
// files of the image go to the folder out.
type builder struct {
	work, out string
	image     *Image
	tell      func(step string)
}

func (b *builder) path(elements ...string) string {
	return filepath.Join(append([]string{b.work}, elements...)...)
}

// missingTools says which programs are not here, and what would install them.
func missingTools(tools map[string]string) error {
	var programs, packages []string
	for program, of := range tools {
		if _, err := findTool(program); err != nil {
			programs, packages = append(programs, program), append(packages, of)
		}
	}
	if len(programs) == 0 {
		return nil
	}
	slices.Sort(programs)
	slices.Sort(packages)
	return fmt.Errorf("needs %s; on Debian or Ubuntu they are installed with: apt-get install %s",
		strings.Join(programs, ", "), strings.Join(slices.Compact(packages), " "))
}

// findTool finds a program also where only root looks for them.
func findTool(program string) (string, error) {
	for _, folder := range []string{"", "/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(folder + program); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", program)
}

// run runs a program in the folder work and returns what it wrote. It ends when
// ctx does, with all that it has started.
func (b *builder) run(ctx context.Context, program string, args ...string) (string, error) {
	return b.runWith(ctx, nil, program, args...)
}

// runWith is run with something to read.
func (b *builder) runWith(ctx context.Context, input []byte, program string, args ...string) (string, error) {
	path, err := findTool(program)
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Stdin = b.work, &out, &errs, bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if _, err := os.Stat(b.path(aptConfig)); err == nil {
		cmd.Env = append(cmd.Env, "APT_CONFIG="+b.path(aptConfig))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return "", explain(ctx, program, err, append(out.Bytes(), errs.Bytes()...))
	}
	return out.String(), nil
}

// explain says what a program that failed wrote last.
func explain(ctx context.Context, program string, err error, wrote []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := strings.TrimSpace(string(wrote))
	if from := len(text) - 2000; from > 0 {
		text = "… " + text[from:]
	}
	if text == "" {
		return fmt.Errorf("%s: %w", program, err)
	}
	return fmt.Errorf("%s: %w: %s", program, err, text)
}

// toQcow2 makes the disk of the image from a raw one.
func (b *builder) toQcow2(ctx context.Context, raw string) error {
	info, err := os.Stat(raw)
	if err != nil {
		return err
	}
	b.image.VirtualSize = info.Size()
	_, err = b.run(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, filepath.Join(b.out, DiskFile))
	return err
}

// ownedByRoot gives all files of a file system to root, where who builds it is
// somebody else.
func (b *builder) ownedByRoot(ctx context.Context, root, disk string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	var commands bytes.Buffer
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root)
		if name == "" {
			name = "/"
		}
		fmt.Fprintf(&commands, "set_inode_field %s uid 0\nset_inode_field %s gid 0\n", name, name)
		return err
	})
	if err != nil {
		return err
	}
	_, err = b.runWith(ctx, commands.Bytes(), "debugfs", "-w", "-f", "/dev/stdin", disk)
	return err
}

var errNotThere = errors.New("is not in Debian's packages as expected")
