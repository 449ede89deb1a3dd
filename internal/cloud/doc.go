// Package cloud holds the words of the cloud: Droplets, actions, volumes and
// what belongs to them, with the rules that need no database to decide. It
// imports the standard library only.
package cloud
