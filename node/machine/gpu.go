package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gpus are the IDs to offer, after the override.
func (o *Options) gpus(ctx context.Context, r root) []string {
	if o.GPUs == 0 {
		return nil
	}
	found := r.driverGPUs()
	if len(found) == 0 {
		found = smiGPUs(ctx, o.SMI, o.SMITimeout)
	}
	if o.GPUs < 0 {
		return found
	}
	for i := len(found); i < o.GPUs; i++ {
		found = append(found, strconv.Itoa(i))
	}
	return found[:o.GPUs]
}

// driverGPUs reads what NVIDIA's driver shows in /proc, one directory for each
// GPU named by its place on the bus. CUDA's numbers follow that order when
// CUDA_DEVICE_ORDER is PCI_BUS_ID, so GPUs are named by UUID where it is known.
func (r root) driverGPUs() []string {
	dirs, err := os.ReadDir(filepath.Join(string(r), "proc/driver/nvidia/gpus"))
	if err != nil {
		return nil
	}
	var ids []string
	for i, d := range dirs { // ReadDir sorts by name, which is by bus
		id := strconv.Itoa(i)
		for line := range strings.Lines(r.read("proc/driver/nvidia/gpus", d.Name(), "information")) {
			if v, ok := strings.CutPrefix(line, "GPU UUID:"); ok {
				if uuid := strings.TrimSpace(v); uuidPattern.MatchString(uuid) {
					id = uuid
				}
			}
		}
		ids = append(ids, id)
	}
	return ids
}

// uuidPattern is a GPU's UUID; the driver shows question marks until it has been
// used once.
var uuidPattern = regexp.MustCompile(`^GPU-[0-9a-fA-F-]+$`)

// smiLine is a line of nvidia-smi -L.
var smiLine = regexp.MustCompile(`^GPU (\d+): .*\(UUID: (GPU-[0-9a-fA-F-]+)\)`)

// smiGPUs asks NVIDIA's own program. It is killed when it takes too long, as it
// does with a broken driver.
func smiGPUs(ctx context.Context, smi string, timeout time.Duration) []string {
	if smi == "" {
		return nil
	}
	path, err := exec.LookPath(smi)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-L")
	cmd.WaitDelay = 100 * time.Millisecond
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	var ids []string
	for line := range strings.Lines(string(out)) {
		if m := smiLine.FindStringSubmatch(line); m != nil {
			ids = append(ids, m[2])
		}
	}
	return slices.Compact(ids)
}
