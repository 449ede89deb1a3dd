package qemu

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Names in a machine's folder.
const (
	pidFile        = "qemu.pid"
	runningFile    = "running.lock" // held by its process, see alive
	logFile        = "qemu.log"
	consoleFile    = "console.log"
	monitorSocket  = "monitor.sock"
	consoleSocket  = "console.sock"
	agentSocket    = "agent.sock"
	screenshotFile = "screenshot.png"
)

// firstFile is the number of the first file that a process is given beside its
// standard ones.
const firstFile = 3

// command is the command line of a machine's process, with the files that it
// is given by number.
type command struct {
	args  []string
	files []*os.File
}

func (c *command) add(args ...string) { c.args = append(c.args, args...) }

// give adds a file and returns its number in the process.
func (c *command) give(f *os.File) string {
	c.files = append(c.files, f)
	return strconv.Itoa(firstFile + len(c.files) - 1)
}

// close closes this process's copies of the files.
func (c *command) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// commandFor writes the command line of a machine. What is guest to change is
// by name in its folder; sockets are made before the process and given to it, so
// that they can be connected to at once.
func (e *Engine) commandFor(m machine, attached []volume, nics []vnet.NIC, sockets map[string]*os.File) *command {
	c := &command{}
	c.add("-name", "cistern-"+m.ID, "-no-user-config", "-nodefaults", "-pidfile", pidFile, "-display", "none")
	c.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	c.add("-machine", "q35,usb=off,vmport=off,sata=off,smbus=off", "-smp", fmt.Sprint(m.VCPUs), "-m", fmt.Sprintf("%dM", m.Memory))
	c.add("-rtc", "base=utc", "-boot", "strict=on")
	if e.Accel == "kvm" {
		c.add("-accel", "kvm", "-cpu", "host")
	} else {
		c.add("-accel", fmt.Sprintf("tcg,tb-size=%d", translationCache(m.Memory)), "-cpu", "max")
	}
	// cloud-init knows by this that it is to ask the metadata service of a Droplet.
	c.add("-smbios", "type=1,manufacturer=DigitalOcean,product=Droplet,serial="+m.ID)
	if m.Disk.Kernel {
		c.add("-kernel", m.Disk.path(kernelFile), "-initrd", m.Disk.path(initrdFile), "-append", m.Disk.Cmdline)
	}
	c.addDisks(m, attached)
	for i, nic := range nics {
		c.addNIC(i, nic)
	}
	c.addSockets(sockets)
	c.add("-device", "virtio-rng-pci", "-device", "VGA,vgamem_mb=8")
	return c
}

// translationCache is how many MiB of translated instructions are kept. QEMU's
// own choice grows with the host and let small guests take three times their
// memory.
func translationCache(memory int64) int64 { return min(256, max(64, memory/8)) }

func (c *command) addDisks(m machine, attached []volume) {
	c.add("-blockdev", "driver=file,node-name=disk-file,filename="+m.Disk.path(diskFile)+",discard=unmap",
		"-blockdev", "driver=qcow2,node-name=disk,file=disk-file,discard=unmap",
		"-device", "virtio-blk-pci,drive=disk,bootindex=1",
		"-device", "virtio-scsi-pci,id=scsi")
	for _, v := range attached {
		c.add("-blockdev", "driver=file,node-name="+v.fileNode()+",filename="+v.file()+",discard=unmap",
			"-blockdev", "driver=raw,node-name="+v.node()+",file="+v.fileNode()+",discard=unmap",
			"-device", "scsi-hd,bus=scsi.0,vendor=DO,product=Volume,drive="+v.node()+",id="+v.node()+
				",serial="+v.Name+",device_id="+v.Name)
	}
}

func (c *command) addNIC(i int, nic vnet.NIC) {
	netdev := nic.Netdev
	if nic.File != nil {
		netdev = strings.Replace(netdev, "%d", c.give(nic.File), 1)
	}
	kind, settings, _ := strings.Cut(netdev, ",")
	c.add("-netdev", fmt.Sprintf("%s,id=net%d,%s", kind, i, settings),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s,romfile=", i, nic.MAC))
}

// addSockets adds what the machine is spoken to by: QMP, the serial console and
// the guest agent.
func (c *command) addSockets(sockets map[string]*os.File) {
	listen := func(name, id string) string {
		return fmt.Sprintf("socket,id=%s,fd=%s,server=on,wait=off", id, c.give(sockets[name]))
	}
	c.add("-chardev", listen(monitorSocket, "monitor"), "-mon", "chardev=monitor,mode=control",
		"-chardev", listen(consoleSocket, "console")+",logfile="+consoleFile+",logappend=on", "-serial", "chardev:console",
		"-chardev", listen(agentSocket, "agent"), "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
}
