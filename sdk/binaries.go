package raygo

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// BinariesEnv names the environment variable with other builds of this program,
// as os/arch=PATH separated by the system's list separator. raygo run sets it;
// Binary says the same from inside, and beats it.
const BinariesEnv = "RAYGO_BINARIES"

// allBinaries are the builds named by the variable and by options.
func (c *config) allBinaries() (map[string]string, error) {
	list := os.Getenv(BinariesEnv)
	if list == "" {
		return c.binaries, nil
	}
	all := map[string]string{}
	for _, part := range filepath.SplitList(list) {
		platform, path, ok := strings.Cut(part, "=")
		goos, arch, two := strings.Cut(platform, "/")
		if !ok || !two || goos == "" || arch == "" || !filepath.IsAbs(path) {
			return nil, fmt.Errorf("$%s: %q is not of the form os/arch=/PATH", BinariesEnv, part)
		}
		all[platform] = path
	}
	maps.Copy(all, c.binaries)
	return all, nil
}
