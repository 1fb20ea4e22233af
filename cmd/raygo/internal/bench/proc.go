package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func (p *process) pid() int { return p.cmd.Process.Pid }

// residentOf reads a field of a process's status in bytes.
func residentOf(pid int, field string) (int64, error) {
	return fieldOf(fmt.Sprintf("/proc/%d/status", pid), field)
}

// fieldOf adds up the lines of a file that begin with field, in bytes.
func fieldOf(path, field string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	sum, found := int64(0), false
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of %s: %w", field, path, err)
			}
			sum, found = sum+kb<<10, true
		}
	}
	if !found {
		return 0, fmt.Errorf("%s has no %s", path, field)
	}
	return sum, nil
}

// privateOfWorker is the private memory of a peer's worker.
func privateOfWorker(peer int) (int64, error) {
	for _, child := range childrenOf(peer) {
		rollup := fmt.Sprintf("/proc/%d/smaps_rollup", child)
		clean, err := fieldOf(rollup, "Private_Clean:")
		if err != nil {
			continue // it ended
		}
		dirty, err := fieldOf(rollup, "Private_Dirty:")
		return clean + dirty, err
	}
	return 0, errors.New("the peer has no worker")
}

// childrenOf are the processes that a process started.
func childrenOf(pid int) []int {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended
		}
		for _, child := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// cpuTime is what this process, the peer and its workers have used, in
// nanoseconds; 0 before there is a peer.
func (st *stage) cpuTime() int64 {
	if st.peer == nil {
		return 0
	}
	var sum int64
	for _, pid := range append(childrenOf(st.peer.pid()), os.Getpid(), st.peer.pid()) {
		n, err := cpuOf(pid)
		if err != nil {
			continue // it ended
		}
		sum += n
	}
	return sum * int64(time.Second) / ticksPerSecond
}

// ticksPerSecond is the unit of times in /proc, the same on all of Linux.
const ticksPerSecond = 100

// How the peer is found to be at rest.
const (
	settleStep  = 30 * time.Millisecond
	settleSteps = 3 // without CPU time
	settleMost  = 10 * time.Second
)

// settle waits until the peer uses no CPU, so that what it does behind a call is
// not measured with the next one.
func (st *stage) settle() error {
	last, quiet := int64(-1), 0
	for end := time.Now().Add(settleMost); quiet < settleSteps && time.Now().Before(end); {
		used, err := cpuOf(st.peer.pid())
		if err != nil {
			return err
		}
		if used == last {
			quiet++
		} else {
			quiet = 0
		}
		last = used
		time.Sleep(settleStep)
	}
	return nil
}

// cpuOf is what a process has used of CPUs, in the kernel's ticks.
func cpuOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of the peer: %w", err)
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("the status of process %d has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return user + system, err
}
