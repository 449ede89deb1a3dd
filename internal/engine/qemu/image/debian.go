package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// aptConfig is the name of the file that tells apt to leave this machine's own
// packages and lists alone.
const aptConfig = "apt.conf"

// keyring is what signs Debian's packages.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

var errNoKeyring = errors.New("the keys of Debian's packages, " + keyring + ", are missing; on Debian or Ubuntu they are installed with: " +
	"apt-get install debian-archive-keyring")

// sources are where Debian 12's packages are.
func sources() string {
	var text strings.Builder
	for _, source := range []string{
		"http://deb.debian.org/debian bookworm main",
		"http://deb.debian.org/debian bookworm-updates main",
		"http://deb.debian.org/debian-security bookworm-security main",
	} {
		fmt.Fprintf(&text, "deb [arch=amd64 signed-by=%s] %s\n", keyring, source)
	}
	return text.String()
}

// prepareApt gives apt a world of its own in the folder work, and fetches the
// lists of packages. What this machine's apt is told of proxies holds.
func (b *builder) prepareApt(ctx context.Context) error {
	if _, err := os.Stat(keyring); err != nil {
		return errNoKeyring
	}
	for _, folder := range []string{"lists/partial", "cache/archives/partial", "debs", "files"} {
		if err := os.MkdirAll(b.path("apt", folder), 0o755); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(`Dir::State "%[1]s/";
Dir::State::Lists "%[1]s/lists/";
Dir::State::Status "%[1]s/status";
Dir::Cache "%[1]s/cache/";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
`, b.path("apt"))
	for name, text := range map[string]string{aptConfig: conf, "apt/status": "", "apt/sources.list": sources()} {
		if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := b.run(ctx, "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	return err
}

// kernelPackage is the package that the newest kernel is in.
func (b *builder) kernelPackage(ctx context.Context) (string, error) {
	out, err := b.run(ctx, "apt-cache", "depends", "--important", "linux-image-cloud-amd64")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); is && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", fmt.Errorf("the kernel %w", errNotThere)
}

// unpack fetches packages and unpacks them into one folder, which it returns.
// What apt fetches it has checked.
func (b *builder) unpack(ctx context.Context, packages ...string) (string, error) {
	debs, files := b.path("apt", "debs"), b.path("apt", "files")
	if _, err := b.run(ctx, "env", append([]string{"--chdir=" + debs, "apt-get", "-q", "download"}, packages...)...); err != nil {
		return "", err
	}
	fetched, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return "", err
	}
	for _, deb := range fetched {
		if _, err := b.run(ctx, "dpkg-deb", "-x", deb, files); err != nil {
			return "", err
		}
	}
	return files, nil
}
