/**
 * Joins class names; of two utilities that contradict each other the later one holds. Our own sizes of text must be
 * known to it, or it takes them for colours.
 */
import { type ClassValue, clsx } from 'clsx';
import { extendTailwindMerge } from 'tailwind-merge';

const merge = extendTailwindMerge({
  extend: { classGroups: { 'font-size': [{ text: ['label', 'body', 'control', 'section', 'figure'] }] } },
});

export function cn(...classes: ClassValue[]): string {
  return merge(clsx(classes));
}
