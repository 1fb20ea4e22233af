package machine

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// tree makes a file system of the given files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	meminfo = "MemTotal:       16777216 kB\nMemFree:        1 kB\nMemAvailable:   8388608 kB\n"
	status8 = "Name:\tx\nCpus_allowed:\t00000000,000000ff\nCpus_allowed_list:\t0-7\n"
	v2Mount = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
	v1Mount = "31 23 0:27 / /sys/fs/cgroup/cpu rw shared:5 - cgroup cgroup rw,cpuacct,cpu\n" +
		"32 23 0:28 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory\n"
)

func TestDetectRespectsControlGroups(t *testing.T) {
	base := func(more map[string]string) map[string]string {
		m := map[string]string{"proc/meminfo": meminfo, "proc/self/status": status8, "proc/stat": "cpu 1\nbtime 1767225600\n"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	tests := []struct {
		name   string
		files  map[string]string
		cpus   float64
		memory int64
		avail  int64
	}{
		{"no groups", base(nil), 8, 16 << 30, 8 << 30},
		{"v2 quota in a parent, memory in the group", base(map[string]string{
			"proc/self/mountinfo": v2Mount, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/cpu.max": "150000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000",
			"sys/fs/cgroup/a/b/memory.max": "1073741824", "sys/fs/cgroup/a/b/memory.current": "536870912",
			"sys/fs/cgroup/a/b/memory.stat": "anon 5\ninactive_file 268435456\n",
		}), 1.5, 1 << 30, 768 << 20},
		{"v1", base(map[string]string{
			"proc/self/mountinfo": v1Mount, "proc/self/cgroup": "2:memory:/m\n1:cpuacct,cpu:/c\n",
			"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":           "-1",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "2147483648", "sys/fs/cgroup/memory/m/memory.usage_in_bytes": "2147483648",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
		}), 3, 2 << 30, 0},
		{"a container's mount", base(map[string]string{
			"proc/self/mountinfo": "30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "proc/self/cgroup": "0::/docker/x\n",
			"sys/fs/cgroup/cpu.max": "50000 100000", "sys/fs/cgroup/memory.max": "max",
		}), 0.5, 16 << 30, 8 << 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			m, err := Detect(context.Background(), Options{Root: dir, GPUs: -1})
			if err != nil {
				t.Fatal(err)
			}
			_, avail, err := root(dir).memory()
			if err != nil {
				t.Fatal(err)
			}
			if m.CPUs != tt.cpus || m.Memory != tt.memory || avail != tt.avail || len(m.GPUIDs) != 0 {
				t.Errorf("have %g CPUs, %d bytes, %d available, GPUs %v; want %g, %d, %d", m.CPUs, m.Memory, avail, m.GPUIDs, tt.cpus, tt.memory, tt.avail)
			}
			if !m.Boot.Equal(time.Unix(1767225600, 0)) {
				t.Errorf("boot is %v", m.Boot)
			}
		})
	}
}

func TestDetectWithoutMemoryIsAnError(t *testing.T) {
	if _, err := Detect(context.Background(), Options{Root: t.TempDir()}); err == nil {
		t.Fatal("no error without /proc/meminfo")
	}
}

func TestGPUs(t *testing.T) {
	const a, b = "proc/driver/nvidia/gpus/0000:01:00.0/information", "proc/driver/nvidia/gpus/0000:02:00.0/information"
	driver := tree(t, map[string]string{
		"proc/meminfo": meminfo,
		a:              "Model: \t A100\nGPU UUID: \t GPU-aa-11\n", b: "Model: \t A100\nGPU UUID: \t GPU-????????-????\n",
	})
	bare := tree(t, map[string]string{
		"proc/meminfo": meminfo,
		"smi":          "#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-01-ab)'\necho '  MIG 1g'\necho 'GPU 1: NVIDIA A100 (UUID: GPU-02-cd)'\n",
		"hangs":        "#!/bin/sh\nexec sleep 60\n",
	})
	for _, f := range []string{"smi", "hangs"} {
		if err := os.Chmod(filepath.Join(bare, f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		o    Options
		want []string
	}{
		{"the driver's files", Options{Root: driver, GPUs: -1}, []string{"GPU-aa-11", "1"}},
		{"one of them", Options{Root: driver, GPUs: 1}, []string{"GPU-aa-11"}},
		{"more than found", Options{Root: driver, GPUs: 3}, []string{"GPU-aa-11", "1", "2"}},
		{"none wanted", Options{Root: driver}, nil},
		{"given only", Options{Root: bare, GPUs: 2}, []string{"0", "1"}},
		{"nvidia-smi", Options{Root: bare, GPUs: -1, SMI: filepath.Join(bare, "smi")}, []string{"GPU-01-ab", "GPU-02-cd"}},
		{"nvidia-smi hangs", Options{Root: bare, GPUs: -1, SMI: filepath.Join(bare, "hangs"), SMITimeout: 50 * time.Millisecond}, nil},
		{"no nvidia-smi", Options{Root: bare, GPUs: -1, SMI: filepath.Join(bare, "nothing")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Detect(context.Background(), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.GPUIDs) != len(tt.want) {
				t.Fatalf("have %q, want %q", m.GPUIDs, tt.want)
			}
			for i := range tt.want {
				if m.GPUIDs[i] != tt.want[i] {
					t.Fatalf("have %q, want %q", m.GPUIDs, tt.want)
				}
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	m, err := Detect(context.Background(), Options{GPUs: -1})
	if err != nil {
		t.Fatal(err)
	}
	if m.CPUs <= 0 || m.CPUs > float64(runtime.NumCPU()) || m.Memory <= 0 || m.Hostname == "" || m.Platform == "" || m.Boot.IsZero() {
		t.Errorf("implausible: %+v", m)
	}
	total, avail, err := Memory()
	if err != nil || total != m.Memory || avail <= 0 || avail > total {
		t.Errorf("memory %d, %d available, %v", total, avail, err)
	}
	if rss, err := ProcessRSS(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("own RSS %d, %v", rss, err)
	}
	if _, err := ProcessRSS(1 << 30); err == nil {
		t.Error("the RSS of no process is not an error")
	}
	if d, err := DiskUsage(t.TempDir()); err != nil || d.Total <= 0 || d.Used() < 0 || d.Used() > 1 {
		t.Errorf("disk %+v, %v", d, err)
	}
	if _, err := DiskUsage("/does/not/exist"); err == nil {
		t.Error("the disk of no path is not an error")
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	if err := clockError(now, now.Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if clockError(time.Unix(0, 0), time.Time{}) == nil || clockError(now, now.Add(time.Hour)) == nil {
		t.Error("a clock that cannot be right is taken as right")
	}
}
