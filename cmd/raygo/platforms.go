package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// ownPlatform is what the driver itself is built for.
const ownPlatform = runtime.GOOS + "/" + runtime.GOARCH

// parsePlatforms reads --platform: os/arch, several separated by commas.
func parsePlatforms(list []string) ([]string, error) {
	var all []string
	for _, p := range list {
		goos, arch, ok := strings.Cut(p, "/")
		if !ok || goos == "" || arch == "" || strings.ContainsAny(arch, "/=:") {
			return nil, usagef("--platform %q is not of the form os/arch, as linux/arm64", p)
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// clusterPlatforms are the platforms of the live peers behind an address.
func clusterPlatforms(ctx context.Context, address string) ([]string, error) {
	c, err := ask.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	nodes, err := ask.List[ipc.NodeRow](ctx, c, ipc.Query{Op: ipc.QueryNodes, Limit: everyNode})
	if err != nil {
		return nil, fmt.Errorf("ask which platforms there are: %w", err)
	}
	var all []string
	for i := range nodes.Rows {
		if p := nodes.Rows[i].Platform; nodes.Rows[i].Alive && p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all, nil
}

// everyNode is more peers than there are.
const everyNode = 100_000

// builds makes the program for other platforms than this one, in files beside
// binary, and gives what their variable is to be. A platform that was not asked
// for by name and does not build is left out, with a note.
func (b *building) builds(ctx context.Context, pkg, binary string, platforms []string, byName bool) (string, error) {
	var made []string
	for _, p := range platforms {
		if p == ownPlatform {
			continue
		}
		goos, arch, _ := strings.Cut(p, "/")
		path := binary + "-" + goos + "-" + arch
		fmt.Fprintf(b.notes, "raygo: building %s for %s\n", filepath.Base(binary), p)
		// No C compiler for another platform is at hand, as a rule.
		err := b.build(ctx, pkg, path, "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
		switch {
		case err == nil:
			made = append(made, p+"="+path)
		case byName || ctx.Err() != nil:
			return "", fmt.Errorf("for %s: %w", p, err)
		default:
			fmt.Fprintf(b.notes, "raygo: no tasks will run on peers of %s: %v\n", p, err)
		}
	}
	if len(made) == 0 {
		return "", nil
	}
	return raygo.BinariesEnv + "=" + strings.Join(made, string(os.PathListSeparator)), nil
}

// building is how programs are built.
type building struct {
	flags []string // of go build
	notes io.Writer
}

// build makes one binary, with additions to the environment.
func (b *building) build(ctx context.Context, pkg, path string, env ...string) error {
	args := append([]string{"build"}, b.flags...)
	return goBuild(ctx, append(args, "-o", path, pkg), append(os.Environ(), env...), b.notes)
}
