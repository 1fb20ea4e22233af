package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// settle parses a command line with an environment and a config file.
func settle(t *testing.T, args []string, env map[string]string, file string) (*settings, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "peer.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	s := newSettings()
	fs := pflag.NewFlagSet("raygo-peer", pflag.ContinueOnError)
	s.flags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if err := fillIn(fs, lookup); err != nil {
		return nil, err
	}
	_, err := s.configuration(io.Discard)
	return s, err
}

func TestAFlagBeatsAVariableBeatsTheFile(t *testing.T) {
	file := "num-cpus: 1\nmax-workers: 11\nobject-store-memory: 64MiB\nworker-idle: 5s\nresources: {disk: 2, licence: 0.5}\nlabels:\n  zone: eu\nspill_dir: /file\n"
	env := map[string]string{"RAYGO_NUM_CPUS": "2", "RAYGO_MAX_WORKERS": "22", "RAYGO_HTTP": "off"}
	s, err := settle(t, []string{"--num-cpus", "3"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if s.cpus != 3 {
		t.Errorf("num-cpus is %v, the flag says 3", s.cpus)
	}
	if s.node.MaxWorkers != 22 {
		t.Errorf("max-workers is %d, the variable says 22", s.node.MaxWorkers)
	}
	if s.node.ObjectStoreMemory != 64<<20 || s.node.WorkerIdle != 5*time.Second || s.node.SpillDir != "/file" || s.node.HTTP != "off" {
		t.Errorf("the rest is not as the file and the variables say: %+v", s.node)
	}
	if d := cmp.Diff(map[string]float64{"disk": 2, "licence": 0.5}, s.node.Resources); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"zone": "eu"}, s.node.Labels); d != "" {
		t.Error(d)
	}
}

func TestEveryFlagHasAVariableAndAKey(t *testing.T) {
	values := map[string]string{
		"size": "1GiB", "share": "0.5", "number": "1", "k=v,...": "a=1", "int": "7", "duration": "7s", "bool": "true", "string": "x",
		"stringArray": "/ip4/127.0.0.1/tcp/1", "debug|info|warn|error": "warn", "text|json": "json", "public|private": "private",
	}
	newSettings().flagNames(func(f *pflag.Flag) {
		value, ok := values[f.Value.Type()]
		if !ok {
			t.Fatalf("--%s is of type %s, which has no sample here", f.Name, f.Value.Type())
		}
		if f.Name == "config" {
			return
		}
		for source, set := range map[string]func(*pflag.FlagSet) error{
			"variable": func(fs *pflag.FlagSet) error {
				return fillIn(fs, func(name string) (string, bool) { return value, name == variable(f.Name) })
			},
			"key": func(fs *pflag.FlagSet) error {
				path := filepath.Join(t.TempDir(), "peer.yaml")
				if err := os.WriteFile(path, []byte(f.Name+": "+value+"\n"), 0o600); err != nil {
					return err
				}
				return fromFile(fs, path)
			},
		} {
			fs := pflag.NewFlagSet("raygo-peer", pflag.ContinueOnError)
			newSettings().flags(fs)
			before := fs.Lookup(f.Name).Value.String()
			if err := set(fs); err != nil {
				t.Errorf("--%s by its %s: %v", f.Name, source, err)
			} else if fs.Lookup(f.Name).Value.String() == before {
				t.Errorf("--%s is not set by its %s", f.Name, source)
			}
		}
	})
}

func (s *settings) flagNames(fn func(*pflag.Flag)) {
	fs := pflag.NewFlagSet("raygo-peer", pflag.ContinueOnError)
	s.flags(fs)
	fs.VisitAll(fn)
}

func TestBadSettingsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		{file: "num-cpu: 1\n", want: `peer.yaml:1: unknown key "num-cpu"`},
		{file: "num-cpus: 1\nnum_cpus: 2\n", want: `:2: key "num_cpus" is there twice`},
		{file: "num-cpus: [1]\n", want: "num-cpus: takes one value, not a list"},
		{file: "worker-idle: soon\n", want: `:1: worker-idle: time: invalid duration "soon"`},
		{file: "- a\n", want: "not a list of keys"},
		{file: "a: b: c\n", want: "peer.yaml"},
		{file: "config: other.yaml\n", want: `unknown key "config"`},
		{env: map[string]string{"RAYGO_OBJECT_STORE_MEMORY": "lots"}, want: `$RAYGO_OBJECT_STORE_MEMORY=lots: "lots" is not a size`},
		{args: []string{"--resources", "CPU=2"}, want: "CPU is not a custom resource"},
		{args: []string{"--resources", "disk"}, want: `"disk" is not of the form key=value`},
		{args: []string{"--resources", "disk=-1"}, want: "negative"},
		{args: []string{"--num-cpus", "-1"}, want: "negative"},
		{args: []string{"--num-gpus", "1.5"}, want: "not a whole number"},
		{args: []string{"--memory-high", "0"}, want: "not a share"},
		{args: []string{"--object-store-memory", "0"}, want: "no room"},
		{args: []string{"--worker-idle", "0s"}, want: "--worker-idle"},
		{args: []string{"--log-level", "loud"}, want: "not one of debug, info, warn, error"},
		{args: []string{"--listen", "/ip4/0.0.0.0/tcp/4001"}, want: "raygo cluster create"},
		{args: []string{"--listen", "4001"}, want: "not a multiaddr"},
		{args: []string{"--bootstrap", "10.0.0.1"}, want: "not a multiaddr"},
		{args: []string{"--cluster-key", "k", "--join", "x"}, want: "needs no invite"},
		{args: []string{"--bridge", "x"}, want: "not a multiaddr"},
		{args: []string{"--config", "/nowhere/peer.yaml"}, want: "/nowhere/peer.yaml: no such file"},
	} {
		_, err := settle(t, c.args, c.env, c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("flags %v, variables %v, file %q: error %v, want %q", c.args, c.env, c.file, err, c.want)
		}
	}
}

func TestLoopbackListenIsAccepted(t *testing.T) {
	for _, a := range []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/4001", "/dns4/localhost/tcp/1"} {
		if _, err := settle(t, []string{"--listen", a}, nil, ""); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}
