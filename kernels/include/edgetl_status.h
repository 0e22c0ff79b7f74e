/* What every kernel of edgetl answers. */
#ifndef EDGETL_STATUS_H
#define EDGETL_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum edgetl_status {
  EDGETL_OK = 0,
  EDGETL_NULL_POINTER = 1,
  EDGETL_BAD_SIZE = 2,
  EDGETL_BAD_STRIDE = 3,
  EDGETL_BAD_TYPE = 4,
  EDGETL_BAD_SCALE = 5,
  EDGETL_BAD_TOP_K = 6,
  EDGETL_MISALIGNED = 7,
  EDGETL_SMALL_WORKSPACE = 8,
  EDGETL_LAUNCH_FAILED = 9,
  EDGETL_NAN = 10, /* of one image, in the `status` of a head: its logits have no softmax */
  EDGETL_BAD_CROP = 11
} edgetl_status;

/* A status as a sentence; static text. */
const char *edgetl_status_text(edgetl_status status);

#ifdef __cplusplus
}
#endif

#endif
