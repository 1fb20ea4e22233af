package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/node/machine"
)

// The doctor asks the peer that runs how it is reached, and says what to do when
// it is not.
func TestDoctorSaysHowThePeerIsReached(t *testing.T) {
	key := filepath.Join(home(t), "cluster.key")
	create(t, key)
	for name, c := range map[string]struct {
		args []string
		want map[string]string // in the value
		ok   map[string]bool
		do   string // in an advice
	}{
		"loopback": {nil, map[string]string{"listens at": "/ip4/127.0.0.1/tcp/", "reachable": "this machine only", "relay": "off"}, map[string]bool{"relay": true, "reachable": true}, ""},
		"one network": {
			[]string{"--cluster-key", key, "--announce", "/ip4/10.1.2.3/tcp/4001"},
			map[string]string{"listens at": "/ip4/10.1.2.3/tcp/4001", "reachable": "taken for granted"}, map[string]bool{"reachable": true}, "",
		},
		"behind a router": {
			[]string{"--cluster-key", key, "--announce", "/ip4/10.1.2.3/tcp/4001", "--relay", "--reach", "private"},
			map[string]string{"reachable": "from nowhere", "relay": "on", "hole punching": "off"},
			map[string]bool{"reachable": false, "relay": true, "hole punching": false, "port mapping": false}, "--port-map",
		},
		"not known": {
			[]string{"--cluster-key", key, "--announce", "/ip4/10.1.2.3/tcp/4001", "--hole-punch"},
			map[string]string{"reachable": "not known", "hole punching": "on"}, map[string]bool{"reachable": false, "relay": false}, "--reach public",
		},
	} {
		t.Run(name, func(t *testing.T) {
			home(t)
			p := startReady(t, c.args...)
			out, err := exec.Command("raygo-peer", "doctor", "--format", "json", "--socket", p.ready.Socket).Output()
			var found []machine.Finding
			if err == nil {
				err = json.Unmarshal(out, &found)
			}
			if err != nil {
				t.Fatal(err, string(out))
			}
			by, advice := map[string]machine.Finding{}, ""
			for _, f := range found {
				by[f.Name], advice = f, advice+f.Advice
			}
			for name, want := range c.want {
				if !strings.Contains(by[name].Value, want) {
					t.Errorf("%s is %+v, want %q", name, by[name], want)
				}
			}
			for name, ok := range c.ok {
				if by[name].OK != ok {
					t.Errorf("%s is %+v", name, by[name])
				}
			}
			if !strings.Contains(advice, c.do) {
				t.Errorf("%q is not in the advice %q", c.do, advice)
			}
		})
	}
}

func create(t *testing.T, key string) {
	t.Helper()
	if _, _, err := node.CreateCluster(key); err != nil {
		t.Fatal(err)
	}
}
