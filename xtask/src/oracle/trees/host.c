/* Opens each argument as the server opens a module, and prints every object of the process after each step:
   "step", then "ok" or "error TEXT", then one "object NAME" line for each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

static int print_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void) size;
    (void) data;
    printf("object %s\n", info->dlpi_name);
    return 0;
}

int main(int argc, char **argv)
{
    printf("step\nok\n");
    dl_iterate_phdr(print_object, NULL);
    for (int i = 1; i < argc; i++) {
        printf("step\n");
        if (dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL))
            printf("ok\n");
        else
            printf("error %s\n", dlerror());
        dl_iterate_phdr(print_object, NULL);
    }
    fflush(stdout);
    return 0;
}
