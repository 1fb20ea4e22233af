package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestBadUsageExitsWith2(t *testing.T) {
	for _, args := range [][]string{
		{"--no-such-flag"}, {"serve"}, {"--num-cpus", "many"}, {"--config", "/nowhere.yaml"},
		{"--listen", "/ip4/0.0.0.0/tcp/4001"}, {"--join", "x"}, {"completion", "no-such-shell"},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != exitUsage {
			t.Errorf("raygo-peer %v: exit code %d, want %d: %s", args, code, exitUsage, &errOut)
		}
		if out.Len() > 0 {
			t.Errorf("raygo-peer %v printed on stdout: %s", args, &out)
		}
	}
}
