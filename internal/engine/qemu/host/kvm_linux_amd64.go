package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Requests of linux/kvm.h.
const (
	kvmGetVersion  = 0xAE00
	kvmCreateVM    = 0xAE01
	kvmExtension   = 0xAE03
	kvmRunSize     = 0xAE04
	kvmCreateVCPU  = 0xAE41
	kvmSetMemory   = 0x4020AE46
	kvmRun         = 0xAE80
	kvmSetRegs     = 0x4090AE82
	kvmGetSRegs    = 0x8138AE83
	kvmSetSRegs    = 0x4138AE84
	kvmVersion     = 12
	kvmExitHalted  = 5
	kvmExitAtOnce  = 136 // the extension
	offsetAtOnce   = 1   // of immediate_exit in kvm_run
	offsetExited   = 8   // of exit_reason
	offsetControl  = 224 // of cr0 in kvm_sregs; cr2, cr3, cr4, cr8 and efer follow
	sizeSRegs      = 312
	sizeRegs       = 144
	offsetIP       = 128 // of rip in kvm_regs; rflags follows
	offsetCounter  = 16  // of rcx
	guestMemory    = 2 << 20
	guestTables    = 0x1000 // three levels of page tables, a page each
	guestCode      = 0x4000
	guestData      = 0x10000
	guestDataWords = 0x10000 / 8
)

// guest counts ecx down and adds it to one word of memory after the other.
var guest = []byte{
	0x89, 0xC8, // mov eax, ecx
	0x25, 0xF8, 0xFF, 0x00, 0x00, // and eax, 0xFFF8
	0x48, 0x01, 0x88, 0x00, 0x00, 0x01, 0x00, // add [rax+0x10000], rcx
	0xFF, 0xC9, // dec ecx
	0x75, 0xEE, // jnz to the first
	0xF4, // hlt
}

// probe measures how long a guest takes for a number of loops. The guest has a
// thread of its own; where nothing gets that one out of the kernel, it is left
// there.
func probe(ctx context.Context, device string, loops uint32) (time.Duration, error) {
	type outcome struct {
		took time.Duration
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		took, err := measure(ctx, device, loops)
		done <- outcome{took, err}
	}()
	select {
	case o := <-done:
		return o.took, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.took, o.err
	case <-time.After(probeDeadline):
		return 0, ctx.Err()
	}
}

// vm is a virtual machine with one processor.
type vm struct {
	kvm, vm, vcpu uintptr
	memory, run   []byte
}

func measure(ctx context.Context, device string, loops uint32) (best time.Duration, err error) {
	v, err := newVM(device)
	if err != nil {
		return 0, err
	}
	defer v.close()
	if err := v.enterLongMode(); err != nil {
		return 0, err
	}
	// A busy machine may hold up one try. It does not hold up three.
	for range 3 {
		took, err := v.loop(ctx, loops)
		if err != nil && best > 0 {
			break
		}
		if err != nil {
			return 0, err
		}
		if best == 0 || took < best {
			best = took
		}
		if best < probeLimit {
			break
		}
	}
	return best, nil
}

func newVM(device string) (v *vm, err error) {
	v = &vm{}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return v, &fs.PathError{Op: "open", Path: device, Err: err}
	}
	v.kvm = uintptr(fd)
	if version, err := ioctl(v.kvm, kvmGetVersion, 0); err != nil || version != kvmVersion {
		return v, fmt.Errorf("%s is something else", device)
	}
	if has, err := ioctl(v.kvm, kvmExtension, kvmExitAtOnce); err != nil || has == 0 {
		return v, errors.New("it is too old to be tested without the risk of waiting for ever")
	}
	if v.vm, err = ioctl(v.kvm, kvmCreateVM, 0); err != nil {
		return v, fmt.Errorf("make a machine: %w", err)
	}
	if err := v.addMemory(); err != nil {
		return v, err
	}
	if v.vcpu, err = ioctl(v.vm, kvmCreateVCPU, 0); err != nil {
		return v, fmt.Errorf("make a processor: %w", err)
	}
	size, err := ioctl(v.kvm, kvmRunSize, 0)
	if err != nil {
		return v, err
	}
	v.run, err = syscall.Mmap(int(v.vcpu), 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	return v, err
}

func (v *vm) addMemory() (err error) {
	v.memory, err = syscall.Mmap(-1, 0, guestMemory, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	const present = 0b11 // and writable
	const large = 0x80   // a page of 2 MiB
	order := binary.LittleEndian
	order.PutUint64(v.memory[guestTables:], guestTables+0x1000|present)
	order.PutUint64(v.memory[guestTables+0x1000:], guestTables+0x2000|present)
	order.PutUint64(v.memory[guestTables+0x2000:], 0|present|large)
	copy(v.memory[guestCode:], guest)
	region := struct {
		slot, flags          uint32
		at, size, ourAddress uint64
	}{size: guestMemory, ourAddress: uint64(uintptr(unsafe.Pointer(&v.memory[0])))}
	if err := ioctlAt(v.vm, kvmSetMemory, unsafe.Pointer(&region)); err != nil {
		return fmt.Errorf("give it memory: %w", err)
	}
	return nil
}

// enterLongMode puts the processor where guests spend their lives: paging, and
// 64 bits. What only looks like KVM is at its slowest there.
func (v *vm) enterLongMode() error {
	var s [sizeSRegs]byte
	if err := ioctlAt(v.vcpu, kvmGetSRegs, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("read its registers: %w", err)
	}
	for i := range 6 { // cs, ds, es, fs, gs, ss
		copy(s[24*i:], segment(i == 0))
	}
	order := binary.LittleEndian
	order.PutUint64(s[offsetControl:], 1<<31|1<<16|1<<5|1<<4|1<<1|1) // cr0: paging, write protection, NE, ET, MP, protection
	order.PutUint64(s[offsetControl+16:], guestTables)               // cr3
	order.PutUint64(s[offsetControl+24:], 1<<5)                      // cr4: PAE
	order.PutUint64(s[offsetControl+40:], 1<<10|1<<8)                // efer: LMA, LME
	if err := ioctlAt(v.vcpu, kvmSetSRegs, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("put it into 64 bits: %w", err)
	}
	return nil
}

// segment is a kvm_segment of all addresses, for code or for data.
func segment(code bool) []byte {
	kind, selector, wide, long := byte(3), uint16(16), byte(1), byte(0)
	if code {
		kind, selector, wide, long = 11, 8, 0, 1
	}
	s := make([]byte, 8, 24) // its base is 0
	s = binary.LittleEndian.AppendUint32(s, 0xFFFFFFFF)
	s = binary.LittleEndian.AppendUint16(s, selector)
	const present, privilege, ofUser, byPages = 1, 0, 1, 1
	return append(s, kind, present, privilege, wide, ofUser, long, byPages, 0, 0, 0)
}

// loop runs the guest once and returns how long it took.
func (v *vm) loop(ctx context.Context, loops uint32) (time.Duration, error) {
	clear(v.memory[guestData:][:guestDataWords*8])
	var regs [sizeRegs]byte
	order := binary.LittleEndian
	order.PutUint64(regs[offsetCounter:], uint64(loops))
	order.PutUint64(regs[offsetIP:], guestCode)
	order.PutUint64(regs[offsetIP+8:], 2) // rflags, of which one bit is always set
	if err := ioctlAt(v.vcpu, kvmSetRegs, unsafe.Pointer(&regs)); err != nil {
		return 0, fmt.Errorf("set its registers: %w", err)
	}
	began := time.Now()
	if err := v.runToHalt(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if !v.hasCounted(loops) {
		return 0, errors.New("it does not compute what it is told to")
	}
	return took, nil
}

// runToHalt runs the guest until it halts or ctx ends. Then a flag keeps the
// thread from going in again, and a signal gets it out: one that Go's own
// runtime sends its threads all the time, and so does no harm.
func (v *vm) runToHalt(ctx context.Context) error {
	process, thread := os.Getpid(), syscall.Gettid()
	out := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		defer close(out)
		atomic.OrUint32((*uint32)(unsafe.Pointer(&v.run[0])), 1<<(8*offsetAtOnce))
		_ = syscall.Tgkill(process, thread, syscall.SIGURG)
	})
	defer func() {
		if !undo() {
			<-out // it uses memory that is about to go
		}
	}()
	for {
		_, err := ioctl(v.vcpu, kvmRun, 0)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("run it: %w", err)
		}
		if reason := binary.LittleEndian.Uint32(v.run[offsetExited:]); reason != kvmExitHalted {
			return fmt.Errorf("its guest ended with reason %d", reason)
		}
		return nil
	}
}

// hasCounted does the guest's work again and compares.
func (v *vm) hasCounted(loops uint32) bool {
	var words [guestDataWords]uint64
	for n := loops; n > 0; n-- {
		words[(n&0xFFF8)/8] += uint64(n)
	}
	for i, want := range words {
		if binary.LittleEndian.Uint64(v.memory[guestData+8*i:]) != want {
			return false
		}
	}
	return true
}

func (v *vm) close() {
	if v.run != nil {
		_ = syscall.Munmap(v.run)
	}
	for _, fd := range []uintptr{v.vcpu, v.vm, v.kvm} {
		if fd != 0 {
			_ = syscall.Close(int(fd))
		}
	}
	if v.memory != nil {
		_ = syscall.Munmap(v.memory)
	}
}

// ioctlAt is an ioctl whose argument is a pointer.
func ioctlAt(fd, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func ioctl(fd, request, argument uintptr) (uintptr, error) {
	value, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, argument)
	if errno != 0 {
		return 0, errno
	}
	return value, nil
}
