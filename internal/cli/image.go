package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// buildTiny makes the image that is there the soonest.
const buildTiny = "cistern image build tiny"

func newImage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build, import, list and remove images of real machines",
		Long: "Builds, imports, lists and removes the images that real machines start from (serve --engine qemu). It needs no\n" +
			"server, and may be done while one runs.",
	}
	isGroup(cmd)
	cmd.AddCommand(newImageBuild(), newImageImport(), newImageList(), newImageRemove())
	return cmd
}

// addImageFlags adds the flag that says where the images are.
func addImageFlags(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVar(data, "data", "", "folder for the state (default "+app.DefaultData()+")")
}

func newImageBuild() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "build {" + strings.Join(app.Images{}.Recipes(), "|") + "}",
		Short: "Build an image from Debian's packages",
		Long: "Builds an image from Debian's packages, without root and without mounting anything. tiny starts in seconds: busybox\n" +
			"and an ssh server on Debian's kernel. debian-12 is Debian with cloud-init, and takes minutes to build.",
		Example: "  " + buildTiny,
		Args:    takes("the image to build, " + strings.Join(app.Images{}.Recipes(), " or ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			images, err := app.OpenImages(data)
			if err != nil {
				return err
			}
			began := time.Now()
			errs := cmd.ErrOrStderr()
			built, err := images.Build(cmd.Context(), args[0], func(step string) { fmt.Fprintf(errs, "%s…\n", step) })
			if err != nil {
				return cannotBuild(cmd, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Built %s in %.0f s: %s.\n", built.Slug, time.Since(began).Seconds(), imageFacts(built))
			return err
		},
	}
	addImageFlags(cmd, &data)
	return cmd
}

// cannotBuild explains an image that is there already: what is built has the slugs
// of its recipe, so that nobody can choose another.
func cannotBuild(cmd *cobra.Command, err error) error {
	taken, is := errors.AsType[*app.ImageTaken](err)
	if !is {
		return err
	}
	remove := sameStorage(cmd, "cistern image rm "+taken.Image)
	if taken.Image != taken.Slug {
		return fmt.Errorf("the image %s has the alias %s already; remove that image first, with: %s", taken.Image, taken.Slug, remove)
	}
	return fmt.Errorf("there is an image %s already; remove it first, with: %s", taken.Image, remove)
}

// imageFacts says in a few words what an image is.
func imageFacts(i app.Image) string {
	return fmt.Sprintf("%g GB, for disks of %d GiB and more", i.SizeGigabytes, i.MinDiskSize)
}

func newImageImport() *cobra.Command {
	var data string
	var origin app.ImageOrigin
	var spec app.ImageSpec
	cmd := &cobra.Command{
		Use:   "import {FILE|URL}",
		Short: "Import an image from a file or a URL",
		Long: "Imports an image from a file or an http or https URL: raw, qcow2, vmdk, vhdx or vdi, as it is or in gzip, bzip2, xz\n" +
			"or zstd. The image is not trusted: what leads to other files is refused, and it is converted within limits. A URL\n" +
			"may lead to addresses on the internet only, and to those of --import-allow.",
		Example: "  cistern image import debian-12-genericcloud-amd64.qcow2 --slug debian-12-x64 --distribution Debian\n" +
			"  cistern image import https://images.example.com/web.vmdk.xz --slug web --distribution Debian --alias ubuntu-22-04-x64",
		Args: takes("the FILE or URL to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			images, err := app.OpenImages(data)
			if err != nil {
				return err
			}
			origin.From = args[0]
			return importImage(cmd, images, origin, spec)
		},
	}
	addImageFlags(cmd, &data)
	flags := cmd.Flags()
	flags.StringVar(&spec.Slug, "slug", "", "what Droplets call the image, such as debian-12-x64")
	flags.StringVar(&spec.Distribution, "distribution", "", "the image's distribution, such as Debian")
	flags.StringVar(&spec.Name, "name", "", "the image's name (default: the slug)")
	flags.StringVar(&spec.Description, "description", "", "the image's description")
	flags.StringArrayVar(&spec.Aliases, "alias", nil, "another slug that it answers to; may be repeated")
	flags.StringVar(&origin.SHA256, "sha256", "", "SHA-256 checksum that the file has to have")
	flags.StringArrayVar(&origin.Allow, "import-allow", nil, "addresses beside the internet's that a URL may lead to, such as 10.0.0.0/8; may be repeated")
	notFromEnvironment(cmd, "slug", "distribution", "name", "description", "alias", "sha256")
	for _, name := range []string{"slug", "distribution"} {
		_ = cmd.MarkFlagRequired(name) // the flag is there
	}
	return cmd
}

func importImage(cmd *cobra.Command, images app.Images, origin app.ImageOrigin, spec app.ImageSpec) error {
	var made app.Image
	err := newScreen(cmd, "text").measure(cmd.Context(), func(ctx context.Context, tell func(done, total int64)) (err error) {
		made, err = images.Import(ctx, origin, spec, tell)
		return err
	})
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Imported %s: %s.\nSHA-256 of what was imported: %s\n", made.Slug, imageFacts(made), made.SourceSHA256)
	return err
}

var imageColumns = []string{"ID", "Slug", "Name", "Distribution", "MinDisk", "Size", "Aliases", "Created"}

func newImageList() *cobra.Command {
	var data string
	var v view
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the images",
		Example: "  cistern image list\n  cistern image list -o json",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := v.check(imageColumns); err != nil {
				return err
			}
			images, err := app.OpenImages(data)
			if err != nil {
				return err
			}
			found, broken := images.List()
			return errors.Join(showImages(cmd, v, found), broken)
		},
	}
	addImageFlags(cmd, &data)
	addViewFlags(cmd, &v)
	return cmd
}

func showImages(cmd *cobra.Command, v view, images []app.Image) error {
	w := cmd.OutOrStdout()
	if v.output == "json" {
		return writeJSON(w, append([]app.Image{}, images...))
	}
	if len(images) == 0 && !v.bare() {
		_, err := fmt.Fprintf(w, "There are no images. Build one with: %s\nOr import one: %s\n",
			sameStorage(cmd, buildTiny), sameStorage(cmd, "cistern image import FILE --slug SLUG --distribution NAME"))
		return err
	}
	var rows [][]string
	for _, i := range images {
		rows = append(rows, []string{
			strconv.FormatInt(i.ID, 10), i.Slug, i.Name, i.Distribution, fmt.Sprintf("%d GiB", i.MinDiskSize),
			fmt.Sprintf("%g GB", i.SizeGigabytes), strings.Join(i.Aliases, ","), cloud.FormatTime(i.CreatedAt),
		})
	}
	return v.table(w, imageColumns, rows)
}

func newImageRemove() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "rm SLUG",
		Short:   "Remove an image; machines that were made from it keep what they need",
		Example: "  cistern image rm tiny",
		Args:    takes("an image's SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			images, err := app.OpenImages(data)
			if err != nil {
				return err
			}
			if err := images.Remove(args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Removed %s.\n", args[0])
			return err
		},
	}
	addImageFlags(cmd, &data)
	return cmd
}
