const std = @import("std");

pub fn build(b: *std.Build) void {
    const wasi = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .wasi });
    const program = b.addExecutable(.{
        .name = "{{name}}",
        .root_module = module(b, wasi, .small),
    });
    program.stack_size = 64 * 1024; // Zig's own is 16 MiB
    b.installArtifact(program);

    const tests = b.addTest(.{ .root_module = module(b, b.graph.host, .debug) });
    const run_tests = b.addRunArtifact(tests);
    b.step("test", "Run the tests on this machine").dependOn(&run_tests.step);
}

fn module(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.Optimize) *std.Build.Module {
    return b.createModule(.{
        .root_source_file = b.path("src/main.zig"),
        .target = target,
        .optimize = optimize,
        .strip = optimize == .small,
    });
}
