const std = @import("std");

pub fn build(b: *std.Build) void {
    _ = b.addModule("portcell", .{ .root_source_file = b.path("portcell.zig") });
}
