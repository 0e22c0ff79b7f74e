// The fused head's own sources as a library for the CPU, with the order of threads and blocks as an argument.
#include "fibre_block.h"

extern "C" {

edgetl_status edgetl_head_workspace(const edgetl_head_args *args, std::uint64_t *bytes) {
  return edgetl::head::measure(args, bytes);
}

edgetl_status test_head_launch(const edgetl_head_args *args, unsigned seed, int skipped_barrier) {
  return edgetl::test::launch(args, seed, skipped_barrier);
}

const char *edgetl_status_text(edgetl_status status) { return edgetl::describe(status); }

std::uint64_t test_head_args_bytes() { return sizeof(edgetl_head_args); }

void test_half_as_float(const std::uint16_t *halves, float *floats, int count) {
  for (int i = 0; i < count; ++i) floats[i] = edgetl::head::as_float(edgetl::head::Half{halves[i]});
}

edgetl_status test_plan(const edgetl_head_args *args, edgetl::head::Plan *plan) {
  return edgetl::head::make_plan(args, *plan);
}

std::uint64_t test_plan_bytes() { return sizeof(edgetl::head::Plan); }

void test_split(const edgetl_head_args *args, int *slice, int *slices, int *tiles) {
  edgetl::head::Plan plan{};
  edgetl::head::split(*args, plan);
  *slice = plan.slice;
  *slices = plan.slices;
  *tiles = plan.tiles;
}
}
