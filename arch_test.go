package raygo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of this module; the tables below leave it out.
const module = "github.com/raygo/raygo"

// allowed is the drawing of ARCHITECTURE.md as a table: which packages of this
// module, and which modules of others, each package may import. A package
// without a row may not exist, so a new package or a new dependency is a change
// of this table, to be argued for in its commit. "." is the root package.
var allowed = map[string]struct {
	own   []string // packages of this module
	other []string // modules of others; the standard library is not listed
}{
	".": {},

	// Five siblings: none imports another. (gossip and dht come with clusters.)
	"sched":   {own: []string{"."}},
	"objects": {own: []string{"."}, other: []string{"golang.org/x/sys", "github.com/ipfs/go-cid", "github.com/multiformats/go-multihash", "github.com/fxamacker/cbor/v2"}},
	// Blocks between peers, over streams that somebody else opens.
	"objects/swarm": {own: []string{".", "objects"}, other: []string{"github.com/ipfs/go-cid"}},
	"gossip":        {own: []string{"."}, other: []string{"github.com/fxamacker/cbor/v2"}},
	"gossip/topic":  {own: []string{"gossip"}, other: []string{"github.com/fxamacker/cbor/v2", "github.com/libp2p/go-libp2p", "github.com/libp2p/go-libp2p-pubsub", "github.com/prometheus/client_golang"}},
	"dht":           {own: []string{"."}, other: []string{"github.com/libp2p/go-libp2p", "github.com/libp2p/go-libp2p-kad-dht", "github.com/libp2p/go-libp2p-record", "google.golang.org/protobuf", "github.com/ipfs/go-cid", "github.com/ipfs/go-datastore", "github.com/fxamacker/cbor/v2", "github.com/prometheus/client_golang"}},
	"sdk/ipc":       {own: []string{".", "internal/nowait"}, other: []string{"golang.org/x/sys", "github.com/fxamacker/cbor/v2"}},

	// What programs import. Every byte here is in every worker: no libp2p, no
	// flags, no tables.
	"sdk":      {own: []string{".", "sdk/ipc"}, other: []string{"golang.org/x/sys", "github.com/fxamacker/cbor/v2"}},
	"sdk/lint": {other: []string{"golang.org/x/tools"}},
	"sdk/p2p":  {own: []string{"sdk", "sdk/ipc", "node"}, other: []string{"github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr"}},

	// What joins them.
	"node": {
		own:   []string{".", "sched", "objects", "objects/swarm", "gossip", "gossip/topic", "dht", "sdk/ipc", "node/host", "node/launch", "node/link", "node/machine", "node/member", "node/wire"},
		other: []string{"golang.org/x/sys", "github.com/fxamacker/cbor/v2", "github.com/ipfs/go-cid", "github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr", "github.com/prometheus/client_golang"},
	},
	"node/host":    {other: []string{"github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr", "github.com/prometheus/client_golang"}},
	"node/link":    {other: []string{"github.com/fxamacker/cbor/v2", "github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr", "github.com/prometheus/client_golang"}},
	"node/member":  {own: []string{"internal/nowait"}, other: []string{"github.com/fxamacker/cbor/v2", "github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr", "github.com/multiformats/go-multiaddr-dns", "github.com/multiformats/go-multistream", "github.com/prometheus/client_golang", "github.com/quic-go/quic-go"}},
	"node/wire":    {own: []string{".", "sched"}, other: []string{"github.com/fxamacker/cbor/v2"}},
	"node/launch":  {own: []string{"."}, other: []string{"golang.org/x/sys"}},
	"node/procs":   {},
	"node/machine": {own: []string{".", "node/launch"}, other: []string{"golang.org/x/sys"}},

	// Flags and text.
	"cmd/raygo": {
		own:   []string{".", "cmd/internal/...", "cmd/raygo/internal/...", "node", "node/procs", "sdk", "sdk/ipc", "sdk/lint", "sdk/p2p"},
		other: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/sys", "golang.org/x/term", "golang.org/x/tools"},
	},
	"cmd/raygo/internal/...": {
		own:   []string{".", "cmd/internal/...", "cmd/raygo/internal/...", "node/procs", "sdk", "sdk/ipc", "sdk/p2p"},
		other: []string{"github.com/dustin/go-humanize", "github.com/vbauerster/mpb/v8", "golang.org/x/sys", "golang.org/x/term", "github.com/fxamacker/cbor/v2", "github.com/libp2p/go-libp2p"},
	},
	"cmd/raygo-peer": {
		own:   []string{".", "cmd/internal/...", "node", "node/machine", "node/procs", "sdk/ipc"},
		other: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "go.yaml.in/yaml/v3", "golang.org/x/sys", "github.com/dustin/go-humanize"},
	},
	"cmd/internal/...": {
		own:   []string{".", "sdk/ipc"},
		other: []string{"github.com/spf13/cobra", "github.com/dustin/go-humanize", "github.com/jedib0t/go-pretty/v6", "go.yaml.in/yaml/v3"},
	},

	"internal/nowait": {},

	// Tests and what helps them.
	"internal/peertest": {own: []string{".", "node", "sdk", "sdk/ipc"}},
	"sdk/behaviours":    {},
	"simnet/hosts":      {other: []string{"github.com/libp2p/go-libp2p", "github.com/multiformats/go-multiaddr"}}, // only _test files import it
	"simnet":            {own: []string{".", "node", "node/member", "sched", "gossip", "sdk", "sdk/ipc", "simnet/hosts", "simnet/world"}, other: []string{"github.com/libp2p/go-libp2p"}},
	"simnet/world":      {own: []string{".", "sched", "gossip"}},

	"sdk/gen":                   {}, // writes sdk/tasks_gen.go
	"sdk/examples/...":          {own: []string{"sdk", "sdk/p2p"}},
	"sdk/examples/internal/...": {},
}

// thin are the packages that programs without a peer inside link: neither they
// nor anything they import may bring in what is heavy.
var thin = []string{".", "sdk/ipc", "sdk", "sched", "objects"}

// heavy are prefixes of what thin packages never link.
var heavy = []string{"github.com/libp2p/", "github.com/prometheus/", "github.com/spf13/", module + "/node", module + "/cmd", "google.golang.org/protobuf", "net/http"}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Dir, Name string
	GoFiles               []string
	TestGoFiles           []string
	XTestGoFiles          []string
	Imports, Deps         []string
	Standard              bool
	Export                string // file with the package's types
	Module                *struct{ Path string }
}

// short is the package's path within the module; "." is the root.
func (p *pkg) short() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// listed runs go list once for all tests here.
var listed = sync.OnceValues(func() (map[string]*pkg, error) {
	return goList("-deps", "./...")
})

func goList(args ...string) (map[string]*pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Dir,Name,GoFiles,TestGoFiles,XTestGoFiles,Imports,Deps,Standard,Export,Module"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("go list: " + err.Error() + "\n" + stderr.String())
	}
	all := map[string]*pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
}

// packages are those of this module, in order of their paths.
func packages(t *testing.T) []*pkg {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	var own []*pkg
	for _, p := range all {
		if p.Module != nil && p.Module.Path == module {
			own = append(own, p)
		}
	}
	slices.SortFunc(own, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return own
}

// matches reports whether a path is what a row or entry of the table names.
func matches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(path, prefix+"/")
	}
	return pattern == path
}

// row finds a package's row: its own, else the longest that ends in "/...".
func row(path string) (key string, ok bool) {
	if _, ok := allowed[path]; ok {
		return path, true
	}
	for k := range allowed {
		if matches(k, path) && len(k) > len(key) {
			key = k
		}
	}
	return key, key != ""
}

func TestImportsAreThoseOfTheDrawing(t *testing.T) {
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		key, ok := row(p.short())
		if !ok {
			t.Errorf("package %s has no row in the table of arch_test.go: say there what it may import, and in ARCHITECTURE.md what it owns", p.short())
			continue
		}
		for _, path := range p.Imports {
			dep := all[path]
			if dep == nil || dep.Standard {
				continue
			}
			list, what := allowed[key].other, path
			if dep.Module != nil {
				what = dep.Module.Path
			}
			if path == module || strings.HasPrefix(path, module+"/") {
				list, what = allowed[key].own, dep.short()
			}
			if !slices.ContainsFunc(list, func(s string) bool { return matches(s, what) }) {
				t.Errorf("package %s imports %s, which its row in arch_test.go does not have: take the import out, or add it to the row and say in the commit why", p.short(), what)
			}
		}
	}
}

func TestProgramsStayThin(t *testing.T) {
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range thin {
		path := module
		if name != "." {
			path += "/" + name
		}
		p := all[path]
		if p == nil {
			t.Errorf("package %s is gone: take it out of thin in arch_test.go", name)
			continue
		}
		for _, dep := range p.Deps {
			for _, h := range heavy {
				if strings.HasPrefix(dep, h) {
					t.Errorf("package %s links %s: it is in every program and every worker; find the import with 'go mod why -vendor %s' or 'go list -deps' and take it out", name, dep, dep)
				}
			}
		}
	}
}

func TestTheTableHasNoLeftovers(t *testing.T) {
	own := packages(t)
	for key := range allowed {
		if !slices.ContainsFunc(own, func(p *pkg) bool { return matches(key, p.short()) }) {
			t.Errorf("the row %q of arch_test.go names no package: take it out", key)
		}
	}
}
