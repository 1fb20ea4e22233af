package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// earliest is before any true time of day that this program can see: a clock
// below it is not set.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Options change what Detect finds. The zero value finds everything but
// GPUs.
type Options struct {
	// Root is the root of the file system to look at. Default: "/". Tests give
	// trees of their own.
	Root string
	// CPUs overrides the number found when it is above 0.
	CPUs float64
	// GPUs is how many to offer: of those found, then made-up numbers. Negative:
	// as many as found. The zero value offers none.
	GPUs int
	// SMI is the program that lists NVIDIA's GPUs. Default: nvidia-smi from
	// PATH when Root is "/", otherwise none.
	SMI string
	// SMITimeout bounds its run. Default: 3 s.
	SMITimeout time.Duration
}

// Machine is what a peer can offer.
type Machine struct {
	// CPUs may have a fraction when a control group's quota has.
	CPUs float64
	// Memory is the bytes this process may use at most.
	Memory int64
	// GPUIDs are the IDs for CUDA_VISIBLE_DEVICES.
	GPUIDs []string
	// Platform is like "linux/amd64".
	Platform string
	// Hostname is the machine's name.
	Hostname string
	// Boot is when it started, zero when unknown.
	Boot time.Time
	// ClockOK is false when the time of day cannot be right.
	ClockOK bool
}

// Detect looks at the machine. What cannot be found out is an error only when a
// peer cannot do without it.
func Detect(ctx context.Context, o Options) (Machine, error) {
	o.complete()
	r := root(o.Root)
	m := Machine{Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: o.CPUs}
	if o.CPUs <= 0 {
		m.CPUs = r.cpus()
	}
	total, _, err := r.memory()
	if err != nil {
		return m, fmt.Errorf("detect memory: %w", err)
	}
	m.Memory = total
	m.GPUIDs = o.gpus(ctx, r)
	if m.Hostname, err = os.Hostname(); err != nil {
		return m, fmt.Errorf("detect hostname: %w", err)
	}
	m.Boot = r.boot()
	m.ClockOK = clockError(time.Now(), m.Boot) == nil
	return m, ctx.Err()
}

func (o *Options) complete() {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.SMI == "" && o.Root == "/" {
		o.SMI = "nvidia-smi"
	}
	if o.SMITimeout == 0 {
		o.SMITimeout = 3 * time.Second
	}
}

// root is a file system to read the machine's files from.
type root string

// read gives a file's content without surrounding space, "" when there is none.
func (r root) read(path ...string) string {
	b, err := os.ReadFile(filepath.Join(append([]string{string(r)}, path...)...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// boot is the time of day at which the machine started.
func (r root) boot() time.Time {
	for line := range strings.Lines(r.read("proc/stat")) {
		var s int64
		if n, _ := fmt.Sscanf(line, "btime %d", &s); n == 1 {
			return time.Unix(s, 0)
		}
	}
	return time.Time{}
}

// clockError says what is wrong with the time of day, given when the machine
// started by the same clock.
func clockError(now, boot time.Time) error {
	switch {
	case now.Before(earliest):
		return fmt.Errorf("the clock says %s: it is not set", now.Format(time.DateOnly))
	case !boot.IsZero() && boot.After(now.Add(time.Minute)):
		return errors.New("the machine started later than now: the clock was set back")
	}
	return nil
}

// Disk is the state of the disk that a path lies on.
type Disk struct {
	Total, Free int64 // Free is what this user may still write
}

// Used is the used share, 0 to 1.
func (d Disk) Used() float64 {
	if d.Total <= 0 {
		return 0
	}
	return 1 - float64(d.Free)/float64(d.Total)
}

// DiskUsage looks at the disk of path, which must exist.
func DiskUsage(path string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Disk{}, fmt.Errorf("disk of %s: %w", path, err)
	}
	// Blocks kept for root count as used for others.
	free := st.Bavail
	total := st.Blocks - st.Bfree + st.Bavail
	block := uint64(st.Bsize) // 32 bits on some machines, 64 on others
	return Disk{Total: int64(total * block), Free: int64(free * block)}, nil
}
