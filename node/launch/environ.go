package launch

import (
	"slices"
	"strings"
)

// inherited are the variables of the peer's own environment that workers get:
// what programs need to run at all, and nothing that may hold a secret.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH",
	"GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "GORACE", "GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// workerFD is the descriptor that workers find their connection at.
const workerFD = "3"

// environ is the environment of a worker, given the peer's own.
func environ(own []string, s *Spec, tmp string, hasGPUs bool) []string {
	vars := map[string]string{}
	for _, kv := range own {
		k, v, ok := strings.Cut(kv, "=")
		if ok && (slices.Contains(inherited, k) || strings.HasPrefix(k, "LC_")) {
			vars[k] = v
		}
	}
	vars["TMPDIR"] = tmp
	for k, v := range s.Env {
		vars[k] = v
	}
	vars["RAYGO_WORKER_FD"] = workerFD
	if hasGPUs || len(s.GPUIDs) > 0 {
		vars["CUDA_VISIBLE_DEVICES"] = strings.Join(s.GPUIDs, ",")
	}
	out := make([]string, 0, len(vars))
	for k, v := range vars {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
