package machine

import (
	"math"
	"math/bits"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groups are the directories of this process's control groups, own and every
// parent, for a controller: version 2 and version 1 where both are mounted.
func (r root) groups(controller string) (v2, v1 []string) {
	own := map[string]string{}
	for line := range strings.Lines(r.read("proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 {
			for _, c := range strings.Split(f[1], ",") {
				own[c] = f[2]
			}
		}
	}
	for line := range strings.Lines(r.read("proc/self/mountinfo")) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		base, mount := f[3], f[4]
		switch {
		case g[0] == "cgroup2":
			v2 = parents(mount, base, own[""])
		case g[0] == "cgroup" && has(g[2], controller):
			v1 = parents(mount, base, own[controller])
		}
	}
	return v2, v1
}

func has(list, word string) bool {
	for _, s := range strings.Split(list, ",") {
		if s == word {
			return true
		}
	}
	return false
}

// parents lists the directories from the group up to the mount point. base is
// the group that the mount shows as its root (a container's own).
func parents(mount, base, group string) []string {
	if base != "/" {
		group = strings.TrimPrefix(group, base)
	}
	group = path.Clean("/" + group)
	var out []string
	for {
		out = append(out, path.Join(mount, group))
		if group == "/" {
			return out
		}
		group = path.Dir(group)
	}
}

// cpus is the affinity's count, or less when a control group has a quota.
func (r root) cpus() float64 {
	n := r.affinity()
	v2, v1 := r.groups("cpu")
	for _, d := range v2 {
		f := strings.Fields(r.read(d, "cpu.max"))
		if len(f) == 2 {
			n = math.Min(n, share(f[0], f[1]))
		}
	}
	for _, d := range v1 {
		n = math.Min(n, share(r.read(d, "cpu.cfs_quota_us"), r.read(d, "cpu.cfs_period_us")))
	}
	return n
}

// share is quota/period, or infinite when there is none.
func share(quota, period string) float64 {
	q, errQ := strconv.ParseFloat(quota, 64)
	p, errP := strconv.ParseFloat(period, 64)
	if errQ != nil || errP != nil || q <= 0 || p <= 0 {
		return math.Inf(1)
	}
	return q / p
}

// affinity counts the processors that this process may run on.
func (r root) affinity() float64 {
	for line := range strings.Lines(r.read("proc/self/status")) {
		if mask, ok := strings.CutPrefix(line, "Cpus_allowed:"); ok {
			n := 0
			for _, word := range strings.Split(strings.TrimSpace(mask), ",") {
				if w, err := strconv.ParseUint(word, 16, 64); err == nil {
					n += bits.OnesCount64(w)
				}
			}
			if n > 0 {
				return float64(n)
			}
		}
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil && set.Count() > 0 {
		return float64(set.Count())
	}
	return float64(runtime.NumCPU())
}
