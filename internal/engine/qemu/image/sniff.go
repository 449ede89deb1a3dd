package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A format is how a disk is kept in a file, as qemu-img calls it.
type format string

const (
	formatRaw   format = "raw"
	formatQcow2 format = "qcow2"
	formatVMDK  format = "vmdk"
	formatVHDX  format = "vhdx"
	formatVDI   format = "vdi"
)

const accepted = "a disk image is raw, qcow2, vmdk, vhdx or vdi, as it is or in gzip, bzip2, xz or zstd"

// headSize is as much of a file's beginning as its format and what is wrong with
// it are seen in.
const headSize = 64 << 10

// refused are formats that begin with what is known, and what to do with them.
var refused = []struct {
	at    int
	magic string
	why   string
}{
	{0, "COWD", "is a VMDK of an ESX server's, which is of several files; export it as monolithicSparse or streamOptimized"},
	{0, "# Disk DescriptorFile", "is only the description of a VMDK, whose data is in other files; export it as monolithicSparse or streamOptimized"},
	{0, "conectix", "is a VHD; convert it to VHDX or qcow2"},
	{0, "cxsparse", "is a VHD; convert it to VHDX or qcow2"},
	{0, "LUKS\xba\xbe", "is encrypted; nobody could start it"},
	{0, "QED\x00", "is a QED image; convert it to qcow2"},
	{0, "WithoutFreeSpace", "is a Parallels image; convert it to qcow2"},
	{0, "WithouFreSpacExt", "is a Parallels image; convert it to qcow2"},
	{0, "PK\x03\x04", "is a zip archive; unpack it first"},
	{0, "7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"},
	{257, "ustar", "is an archive, such as an OVA; unpack it, and import the disk that is in it"},
	{0, "\x1f\x8b", "is compressed more than once; unpack it first"},
	{0, "BZh", "is compressed more than once; unpack it first"},
	{0, "\xfd7zXZ\x00", "is compressed more than once; unpack it first"},
	{0, "\x28\xb5\x2f\xfd", "is compressed more than once; unpack it first"},
}

// inspect finds out what a file's format is, and refuses what leads to other
// files or cannot be a disk, by the file's own words. Whoever opens it later
// states the format, and does not guess again.
func inspect(file io.ReaderAt, most int64) (format, error) {
	head := make([]byte, headSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	for _, r := range refused {
		if hasAt(head, r.at, r.magic) {
			return "", fmt.Errorf("the file %s; %s", r.why, accepted)
		}
	}
	switch {
	case hasAt(head, 0, "QFI\xfb"):
		return formatQcow2, checkQcow2(head, most)
	case hasAt(head, 0, "KDMV"):
		return formatVMDK, checkVMDK(head, most)
	case hasAt(head, 0, "vhdxfile"):
		return formatVHDX, nil // what matters is far inside; qemu-img takes none with a parent
	case hasAt(head, 64, "\x7f\x10\xda\xbe"):
		return formatVDI, checkVDI(head, most)
	case hasAt(head, 510, "\x55\xaa"):
		return formatRaw, nil
	}
	return "", fmt.Errorf("the file is none that could start a machine: %s, and a raw one has a boot sector", accepted)
}

func hasAt(head []byte, at int, magic string) bool {
	return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
}

var errShort = errors.New("the file ends within its header; it is cut off")

// checkSize refuses a disk that is larger than is allowed, or of no size.
func checkSize(size uint64, most int64) error {
	if size == 0 {
		return errors.New("the disk in the file has no size")
	}
	if size > uint64(most) {
		return fmt.Errorf("the disk in the file is of %s, and may have %s at the most", sizeText(size), sizeText(uint64(most)))
	}
	return nil
}

// sizeText writes a size of memory or disk for people.
func sizeText(bytes uint64) string {
	size, unit := float64(bytes), 0
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + " " + units[unit]
}

// The bits of a version 3 qcow2 file that say what a reader must understand.
const (
	qcow2Dirty        = 1 << 0
	qcow2Corrupt      = 1 << 1
	qcow2ExternalData = 1 << 2
	qcow2Compression  = 1 << 3
	qcow2ExtendedL2   = 1 << 4
)

// qcow2DataFile marks the part of the header that names an external data file.
const qcow2DataFile = 0x44415441

// checkQcow2 refuses files that lead to others: a backing file, or one with the
// data.
func checkQcow2(head []byte, most int64) error {
	if len(head) < 104 {
		return errShort
	}
	be := binary.BigEndian
	version := be.Uint32(head[4:])
	switch {
	case version != 2 && version != 3:
		return fmt.Errorf("the file is of qcow version %d; convert it to qcow2 of version 3", version)
	case be.Uint64(head[8:]) != 0 || be.Uint32(head[16:]) != 0:
		return errors.New("the image builds on a backing file; flatten it with qemu-img convert -O qcow2")
	case be.Uint32(head[32:]) != 0:
		return errors.New("the image is encrypted; nobody could start it")
	}
	if version == 3 {
		if err := checkQcow2Features(be.Uint64(head[72:])); err != nil {
			return err
		}
	}
	if err := checkQcow2Extensions(head, version); err != nil {
		return err
	}
	return checkSize(be.Uint64(head[24:]), most)
}

func checkQcow2Features(bits uint64) error {
	switch {
	case bits&qcow2ExternalData != 0:
		return errors.New("the image has its data in another file; flatten it with qemu-img convert -O qcow2")
	case bits&qcow2Corrupt != 0:
		return errors.New("the image is marked as corrupt; repair it with qemu-img check -r all")
	case bits&^(qcow2Dirty|qcow2Compression|qcow2ExtendedL2) != 0:
		return fmt.Errorf("the image needs features that are not known (%#x); convert it with qemu-img convert -O qcow2", bits)
	}
	return nil
}

// checkQcow2Extensions looks for the name of a data file.
func checkQcow2Extensions(head []byte, version uint32) error {
	be, at := binary.BigEndian, uint64(72)
	if version == 3 {
		at = uint64(be.Uint32(head[100:]))
	}
	for at+8 <= uint64(len(head)) {
		kind, length := be.Uint32(head[at:]), uint64(be.Uint32(head[at+4:]))
		switch kind {
		case 0:
			return nil
		case qcow2DataFile:
			return errors.New("the image names another file for its data; flatten it with qemu-img convert -O qcow2")
		}
		at += 8 + (length+7)/8*8
	}
	return nil
}

// vmdkDescription is where, and of how many bytes, qemu-img reads the
// description within a VMDK, whatever its header says.
const (
	vmdkDescriptionAt   = 512
	vmdkDescriptionSize = 20 * 512
)

// checkVMDK takes files that hold all of their disk, and no other.
func checkVMDK(head []byte, most int64) error {
	if len(head) < vmdkDescriptionAt+vmdkDescriptionSize {
		return errShort
	}
	le := binary.LittleEndian
	sectors := le.Uint64(head[12:])
	if sectors == 0 || le.Uint64(head[28:]) != vmdkDescriptionAt/512 {
		return errors.New("the VMDK is none of a single file; export it as monolithicSparse or streamOptimized")
	}
	text, _, _ := bytes.Cut(head[vmdkDescriptionAt:vmdkDescriptionAt+vmdkDescriptionSize], []byte{0})
	if err := checkVMDKDescription(string(text)); err != nil {
		return err
	}
	if bytes.Contains(head[vmdkDescriptionAt:vmdkDescriptionAt+vmdkDescriptionSize], []byte("parentFileNameHint")) {
		return errVMDKParent
	}
	return checkSize(min(sectors, 1<<54)*512, most)
}

var errVMDKParent = errors.New("the VMDK builds on another file; export the whole disk")

func checkVMDKDescription(text string) error {
	extents, kind := 0, ""
	for line := range strings.Lines(text) {
		name, value, is := strings.Cut(strings.TrimSpace(line), "=")
		fields := strings.Fields(line)
		switch {
		case is && strings.TrimSpace(name) == "createType":
			kind = strings.Trim(strings.TrimSpace(value), `"`)
		case is && strings.TrimSpace(name) == "parentCID" && !strings.EqualFold(strings.TrimSpace(value), "ffffffff"):
			return errVMDKParent
		case !is && len(fields) >= 4 && (fields[0] == "RW" || fields[0] == "RDONLY" || fields[0] == "NOACCESS"):
			extents++
			if fields[2] != "SPARSE" {
				return errors.New("the VMDK has its data in other files; export it as monolithicSparse or streamOptimized")
			}
		}
	}
	if kind != "monolithicSparse" && kind != "streamOptimized" {
		return fmt.Errorf("the VMDK is of the kind %.40q; export it as monolithicSparse or streamOptimized", kind)
	}
	if extents != 1 {
		return fmt.Errorf("the VMDK is of %d parts; export it as monolithicSparse or streamOptimized", extents)
	}
	return nil
}

// checkVDI takes disks that build on no other.
func checkVDI(head []byte, most int64) error {
	if len(head) < 512 {
		return errShort
	}
	le := binary.LittleEndian
	if kind := le.Uint32(head[76:]); kind != 1 && kind != 2 {
		return errors.New("the VDI builds on another file; clone the whole disk with VBoxManage clonemedium")
	}
	return checkSize(le.Uint64(head[368:]), most)
}
