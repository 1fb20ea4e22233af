package machine

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/raygo/raygo/node/launch"
)

// Finding is one line of the doctor.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Value  string `json:"value"`
	Advice string `json:"advice,omitempty"` // what to do when it is not OK
}

// enoughFiles is the number of descriptors that a peer with many workers and
// drivers comes by with: each worker takes three.
const enoughFiles = 4096

// Doctor looks at everything that decides what a peer can do here.
func Doctor(ctx context.Context) []Finding {
	r := root("/")
	m, err := Detect(ctx, Options{GPUs: -1})
	report := launch.Probe(ctx)
	out := []Finding{cores(m), gpus(m), memory(m, err)}
	out = append(out, sharedMemory(), memfd(), r.hugePages(), r.cgroup2(), landlockFinding(report), namespaces(report),
		loopback(ctx), clock(m), isolation(report), spillDisk(), files())
	return out
}

func cores(m Machine) Finding {
	return Finding{"cores", m.CPUs >= 1, fmt.Sprintf("%g", m.CPUs), advise(m.CPUs < 1, "less than one core: raise the control group's cpu quota, or give --num-cpus")}
}

func gpus(m Machine) Finding {
	if len(m.GPUIDs) == 0 {
		return Finding{"GPUs", true, "none", "if there are some: load NVIDIA's driver, or give --num-gpus"}
	}
	return Finding{"GPUs", true, fmt.Sprintf("%d (%s)", len(m.GPUIDs), strings.Join(m.GPUIDs, ", ")), ""}
}

func memory(m Machine, err error) Finding {
	if err != nil {
		return Finding{"memory", false, err.Error(), "mount /proc"}
	}
	const least = 512 << 20
	return Finding{"memory", m.Memory >= least, size(m.Memory), advise(m.Memory < least, "less than 512 MiB: give --memory and --object-store-memory")}
}

func sharedMemory() Finding {
	d, err := DiskUsage("/dev/shm")
	if err != nil {
		return Finding{"shared memory", true, "no /dev/shm", "raygo uses memory files instead; other programs may want /dev/shm"}
	}
	return Finding{"shared memory", true, fmt.Sprintf("/dev/shm %s, %s free (not used by raygo)", size(d.Total), size(d.Free)), ""}
}

func memfd() Finding {
	const advice = "objects need memfd_create and a sparse file of 1 TiB: allow both in the container's seccomp profile, and lift the limit of file size (ulimit -f)"
	fd, err := unix.MemfdCreate("raygo-doctor", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(fd, 1<<40)
		_ = unix.Close(fd)
	}
	if err != nil {
		return Finding{"memory files", false, err.Error(), advice}
	}
	return Finding{"memory files", true, "memfd works", ""}
}

func (r root) hugePages() Finding {
	mode := chosen(r.read("sys/kernel/mm/transparent_hugepage/shmem_enabled"))
	ok := mode == "always" || mode == "advise" || mode == "within_size" || mode == "force"
	if mode == "" {
		mode = "not in this kernel"
	}
	return Finding{"huge pages", ok, mode, advise(!ok, "first writes of large objects are up to 10 times faster with: echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled (as root)")}
}

// chosen finds the word in brackets.
func chosen(s string) string {
	_, s, _ = strings.Cut(s, "[")
	s, _, _ = strings.Cut(s, "]")
	return s
}

func (r root) cgroup2() Finding {
	const name = "cgroup v2"
	v2, _ := r.groups("")
	if len(v2) == 0 {
		return Finding{name, false, "not mounted", "limits of single workers need it; raygo works without"}
	}
	have := r.read(v2[0], "cgroup.controllers")
	if unix.Access(v2[0], unix.W_OK) != nil {
		return Finding{name, false, "not delegated to this user", "run the peer with: systemd-run --user --scope -p Delegate=yes raygo-peer …; raygo works without"}
	}
	if !strings.Contains(" "+have+" ", " memory ") {
		return Finding{name, false, "without the memory controller", "boot with systemd.unified_cgroup_hierarchy=1; raygo works without"}
	}
	return Finding{name, true, have, ""}
}

func landlockFinding(r launch.Report) Finding {
	if r.LandlockABI == 0 {
		return Finding{"Landlock", false, "none", "a kernel of 5.13 or later with lsm=landlock among its boot parameters"}
	}
	return Finding{"Landlock", true, fmt.Sprintf("version %d", r.LandlockABI), ""}
}

func namespaces(r launch.Report) Finding {
	const name = "namespaces"
	for _, m := range r.Missing {
		if m.Tier == launch.TierPIDNS {
			return Finding{name, false, m.Why.Error(), "sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 or a profile (Ubuntu); in a container allow clone with CLONE_NEWUSER"}
		}
	}
	if r.Hides {
		return Finding{name, true, "process and mount namespaces (root)", ""}
	}
	return Finding{name, true, "user and process namespaces", ""}
}

func loopback(ctx context.Context) Finding {
	const name = "ports"
	var cfg net.ListenConfig
	l, err := cfg.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Finding{name, false, err.Error(), "bring loopback up: ip link set lo up"}
	}
	defer l.Close()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return Finding{name, false, err.Error(), "let connections to 127.0.0.1 through the firewall"}
	}
	_ = c.Close()
	return Finding{name, true, "loopback works; other machines were not tried", ""}
}

func clock(m Machine) Finding {
	const name = "clock"
	const advice = "set the clock and keep it with NTP: times of events and certificates need it"
	if err := clockError(time.Now(), m.Boot); err != nil {
		return Finding{name, false, err.Error(), advice}
	}
	a := time.Now()
	time.Sleep(2 * time.Millisecond) // what is measured is the clock itself
	b := time.Now()
	if mono, wall := b.Sub(a), b.Round(0).Sub(a.Round(0)); (mono - wall).Abs() > 100*time.Millisecond {
		return Finding{name, false, fmt.Sprintf("the time of day moves by %s while %s pass", wall, mono), advice}
	}
	return Finding{name, true, time.Now().UTC().Format(time.RFC3339) + " (not compared with the network)", ""}
}

// isolation is the tier that peers use: the best up to Landlock. A process
// namespace is possible on more machines than it is wanted on, since it hides
// from programs what their process IDs are.
func isolation(r launch.Report) Finding {
	f := Finding{Name: "isolation tier", OK: r.Usual() != launch.TierProcessGroup, Value: string(r.Usual())}
	if !f.OK {
		f.Advice = "see Landlock: a worker can signal the user's other processes"
	}
	return f
}

func spillDisk() Finding {
	dir, err := os.UserHomeDir()
	if err != nil {
		dir = os.TempDir()
	}
	d, err := DiskUsage(dir)
	if err != nil {
		return Finding{"disk", false, err.Error(), "give a data directory with --data-dir"}
	}
	full := d.Used() > 0.95
	return Finding{"disk", !full, fmt.Sprintf("%s of %s free at %s", size(d.Free), size(d.Total), dir), advise(full, "spilling stops at 95 %: make room or give another --spill-dir")}
}

func files() Finding {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return Finding{"open files", false, err.Error(), ""}
	}
	few := lim.Max < enoughFiles
	return Finding{"open files", !few, fmt.Sprint(lim.Max), advise(few, fmt.Sprintf("raise the hard limit: ulimit -Hn %d", enoughFiles))}
}

func advise(when bool, what string) string {
	if when {
		return what
	}
	return ""
}

// size writes bytes for people.
func size(n int64) string {
	const unit = 1024
	v, i := float64(n), 0
	for names := 4; v >= unit && i < names; i++ {
		v /= unit
	}
	return fmt.Sprintf("%.4g %s", v, []string{"B", "KiB", "MiB", "GiB", "TiB"}[i])
}
