package member

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what a member may do.
type Role string

// The roles. Each may do what those after it may.
const (
	RolePeer   Role = "peer"   // runs tasks, holds objects and jobs
	RoleClient Role = "client" // attaches programs: submits, gets, cancels
	RoleRead   Role = "read"   // looks: status, lists, metrics
)

// roles are all of them, the one that may do most first.
var roles = []Role{RolePeer, RoleClient, RoleRead}

// ParseRole checks a role's name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(roles, r) {
		return r, nil
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return "", fmt.Errorf("role %q is not one of %s", s, strings.Join(names, ", "))
}

// Allows reports whether a member of role r may do what is open to role need.
func (r Role) Allows(need Role) bool {
	i := slices.Index(roles, r)
	return i >= 0 && i <= slices.Index(roles, need)
}
