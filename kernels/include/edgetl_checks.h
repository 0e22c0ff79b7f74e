// What the host's part of every kernel needs to check arguments, and to say what is wrong with them.
#ifndef EDGETL_CHECKS_H
#define EDGETL_CHECKS_H

#include <cstdint>

#include "edgetl_status.h"

namespace edgetl {

inline int ceil_div(int value, int by) { return value / by + (value % by != 0); }

inline bool is_multiple(const void *pointer, int bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % static_cast<std::uintptr_t>(bytes) == 0;
}

inline const char *describe(edgetl_status status) {
  switch (status) {
    case EDGETL_OK: return "done";
    case EDGETL_NULL_POINTER: return "a pointer is null that may not be";
    case EDGETL_BAD_SIZE: return "a size is below 1, above its limit, or odd where it must be even";
    case EDGETL_BAD_STRIDE: return "a stride is negative, shorter than a row, or reaches beyond 64 bits";
    case EDGETL_BAD_TYPE: return "a dtype, layout or format is not one that the kernel reads";
    case EDGETL_BAD_SCALE: return "the scale of INT8 features is not finite and above 0";
    case EDGETL_BAD_TOP_K: return "top_k is below 1, above the classes, or above EDGETL_HEAD_MAX_TOP_K";
    case EDGETL_MISALIGNED: return "a pointer is not a multiple of its element, or of 8 for the workspace";
    case EDGETL_SMALL_WORKSPACE: return "the workspace is smaller than edgetl_head_workspace says";
    case EDGETL_LAUNCH_FAILED: return "CUDA refused the launch";
    case EDGETL_NAN: return "a logit is NaN, the largest one is infinite, or all are minus infinity";
    case EDGETL_BAD_CROP: return "the crop is not a fraction above 0 and at most 1";
  }
  return "not a status of edgetl";
}

}  // namespace edgetl

#endif
