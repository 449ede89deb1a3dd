package enginetest

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// The functions below are the engine's verbs with everything but the work
// filled in, so that a test can repeat, undo or refuse any of them alike.

// ref names a thing of the account that all tests use.
func ref(id string) engine.Ref { return engine.Ref{Account: 1, ID: id, Name: "name-" + id} }

func (b *bench) machine(id string) engine.Machine {
	m := b.Machine
	m.Ref = ref(id)
	return m
}

func (b *bench) create(m engine.Machine) doer {
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.CreateMachine(b.Context(), w, m) }
}

func (b *bench) start(id string) doer {
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.StartMachine(b.Context(), w, ref(id)) }
}

func (b *bench) stop(id string) doer {
	how := engine.Stop{Grace: 100 * time.Millisecond, Force: true}
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.StopMachine(b.Context(), w, ref(id), how)
	}
}

func (b *bench) reset(id string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ResetMachine(b.Context(), w, ref(id), true)
	}
}

func (b *bench) resize(id string, s engine.Shape) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ResizeMachine(b.Context(), w, ref(id), s)
	}
}

func (b *bench) password(id string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ResetPassword(b.Context(), w, ref(id))
	}
}

func (b *bench) destroy(id string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.DestroyMachine(b.Context(), w, ref(id))
	}
}

func (b *bench) network(id string, n engine.Network) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ApplyNetwork(b.Context(), w, ref(id), n)
	}
}

func (b *bench) firewall(id string, f engine.Firewall) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ApplyFirewall(b.Context(), w, ref(id), f)
	}
}

func (b *bench) copyImage(machine, image string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.CopyImage(b.Context(), w, ref(machine), ref(image))
	}
}

func (b *bench) replaceImage(machine string, i engine.Image) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ReplaceImage(b.Context(), w, ref(machine), i)
	}
}

func (b *bench) importImage(id string) doer {
	image := engine.Import{Ref: ref(id), URL: b.ImageURL, Region: b.Machine.Region}
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.ImportImage(b.Context(), w, image) }
}

func (b *bench) transferImage(id, region string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.TransferImage(b.Context(), w, ref(id), region)
	}
}

func (b *bench) withdrawImage(id, region string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.WithdrawImage(b.Context(), w, ref(id), region)
	}
}

func (b *bench) deleteImage(id string) doer {
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.DeleteImage(b.Context(), w, ref(id)) }
}

// createVolume makes a volume of 10 GiB, empty when snapshot is.
func (b *bench) createVolume(id, snapshot string) doer {
	v := engine.Volume{Ref: ref(id), Region: b.Machine.Region, SizeGigabytes: 10, FilesystemType: "ext4"}
	if snapshot != "" {
		v.Snapshot = ref(snapshot)
	}
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.CreateVolume(b.Context(), w, v) }
}

func (b *bench) resizeVolume(id string, size int64) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.ResizeVolume(b.Context(), w, ref(id), size)
	}
}

func (b *bench) deleteVolume(id string) doer {
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.DeleteVolume(b.Context(), w, ref(id)) }
}

func (b *bench) attach(volume, machine string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.AttachVolume(b.Context(), w, ref(volume), ref(machine))
	}
}

func (b *bench) detach(volume, machine string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.DetachVolume(b.Context(), w, ref(volume), ref(machine))
	}
}

func (b *bench) snapshot(volume, snapshot string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.SnapshotVolume(b.Context(), w, ref(volume), ref(snapshot))
	}
}

func (b *bench) deleteSnapshot(id string) doer {
	return func(w engine.Work) (engine.Progress, error) {
		return b.Engine.DeleteVolumeSnapshot(b.Context(), w, ref(id))
	}
}

// imageOf is an image that was copied from a machine.
func imageOf(id string) engine.Image { return engine.Image{Ref: ref(id)} }
