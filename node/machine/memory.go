package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is the memory that this process's machine and control groups have in
// all and can still give, in bytes.
func Memory() (total, available int64, err error) { return root("/").memory() }

func (r root) memory() (total, available int64, err error) {
	for line := range strings.Lines(r.read("proc/meminfo")) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			total = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			available = kib << 10
		}
	}
	if total == 0 {
		return 0, 0, errors.New("/proc/meminfo does not say how much memory there is")
	}
	bound := func(limit, used int64) {
		if limit > 0 && used >= 0 {
			total = min(total, limit)
			available = min(available, max(0, limit-used))
		}
	}
	v2, v1 := r.groups("memory")
	for _, d := range v2 {
		bound(number(r.read(d, "memory.max")), number(r.read(d, "memory.current"))-r.reclaimable(d, "inactive_file"))
	}
	for _, d := range v1 {
		bound(number(r.read(d, "memory.limit_in_bytes")), number(r.read(d, "memory.usage_in_bytes"))-r.reclaimable(d, "total_inactive_file"))
	}
	return total, available, nil
}

// number reads a decimal; words such as "max" are 0.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// reclaimable is the page cache that a group's usage contains and that goes as
// soon as somebody needs the memory.
func (r root) reclaimable(dir, key string) int64 {
	for line := range strings.Lines(r.read(dir, "memory.stat")) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			return number(strings.TrimSpace(v))
		}
	}
	return 0
}

// ProcessRSS is the memory a process has in use, in bytes.
func ProcessRSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return resident * int64(os.Getpagesize()), nil
}
